// A schema registry, and the codecs that it gives to channels.
import { type Codec, describeError, PolybusError, systemClock } from '@polybus/core'
import { createAdmin } from './admin.ts'
import { avroFormat, type AvroOptions } from './avro/format.ts'
import { checkCodecOptions, type RegistryCodecOptions } from './codec-options.ts'
import { createRegistryCodec } from './codec.ts'
import type { Format } from './format.ts'
import { jsonSchemaFormat } from './json-schema/format.ts'
import { createJudge } from './judge.ts'
import { LOCAL_SCHEMAS, type LocalSchemas } from './local-schemas.ts'
import { checkOptions, type RegistryOptions } from './options.ts'
import { protobufFormat } from './protobuf/format.ts'
import { createRest } from './rest.ts'
import type { SchemaText } from './schema.ts'
import { createSchemas } from './schemas.ts'
import { createTargets } from './targets.ts'

export interface SchemaRegistry {
  avro(options?: RegistryCodecOptions & AvroOptions): Codec
  jsonSchema(options?: Omit<RegistryCodecOptions, 'message'>): Codec
  protobuf(options?: RegistryCodecOptions): Codec
}

/**
 * A schema registry with Confluent's API. It is asked at the first use of a schema, not here.
 *
 * @throws {PolybusError} `INVALID_OPTION` naming the field.
 * @example
 * const registry = schemaRegistry({ url: 'http://localhost:8081' })
 * const orders = channel('orders', { schema: trust<Order>(), codec: registry.avro({ schema: orderSchema }) })
 */
export function schemaRegistry(options: RegistryOptions): SchemaRegistry {
  const settings = checkOptions(options)
  const clock = systemClock({ unref: true })
  const rest = createRest(settings, clock)
  const schemas = createSchemas(rest, settings, clock)
  const admin = createAdmin(rest)
  const judge = createJudge(admin)
  const codec = (format: Format, given: RegistryCodecOptions, where: string): Codec => {
    checkCodecOptions(given, where)
    const targets = createTargets(format, given)
    // What needs nothing else is looked at now; a schema that refers to others when they are there.
    if ((given.references ?? []).length === 0) for (const schema of targets.locals) checkNow(format, schema, where)
    const own: LocalSchemas = { admin, format, message: given.message, targets: targets.all }
    return { ...createRegistryCodec({ format, schemas, judge, targets }, given), [LOCAL_SCHEMAS]: own } as Codec
  }
  return {
    avro: ({ logicalTypes, ...given } = {}) => codec(avroFormat({ logicalTypes }), given, 'registry.avro()'),
    jsonSchema: (given = {}) => codec(jsonSchemaFormat(), given, 'registry.jsonSchema()'),
    protobuf: (given = {}) => codec(protobufFormat(), given, 'registry.protobuf()'),
  }
}

/** @throws {PolybusError} `SCHEMA_INVALID` */
function checkNow(format: Format, schema: SchemaText, where: string): void {
  try {
    format.check({ ...schema, needs: [] })
  } catch (error) {
    throw new PolybusError('SCHEMA_INVALID', `${where}.schema: ${describeError(error).message}`, { cause: error })
  }
}
