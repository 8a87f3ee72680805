// For tools such as the command line: what a registry has, and what becomes of schemas in it.
import { systemClock } from '@polybus/core'
import { createAdmin, type RegistryAdmin } from './admin.ts'
import { avroFormat } from './avro/format.ts'
import type { Format } from './format.ts'
import { jsonSchemaFormat } from './json-schema/format.ts'
import { checkOptions, type RegistryOptions } from './options.ts'
import { protobufFormat } from './protobuf/format.ts'
import { createRest } from './rest.ts'
import type { SchemaType } from './schema.ts'

export type { Level, RegistryAdmin, Version } from './admin.ts'
export type { Format, Shape } from './format.ts'
export { createJudge, type Judge, type Verdict } from './judge.ts'
export { type LocalSchemas, localSchemasOf } from './local-schemas.ts'
export type { Schema, SchemaText, SchemaType } from './schema.ts'
export type { Target } from './targets.ts'

/** @throws {PolybusError} `INVALID_OPTION` naming the field. */
export const registryAdmin = (options: RegistryOptions): RegistryAdmin =>
  createAdmin(createRest(checkOptions(options), systemClock({ unref: true })))

export const formatOf = (type: SchemaType): Format =>
  type === 'AVRO' ? avroFormat() : type === 'JSON' ? jsonSchemaFormat() : protobufFormat()
