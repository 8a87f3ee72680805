// A schema registry, and the codecs that it gives to channels.
import { type Codec, systemClock } from '@polybus/core'
import { avroFormat, type AvroOptions } from './avro.ts'
import { createRegistryCodec, type RegistryCodecOptions } from './codec.ts'
import { jsonSchemaFormat } from './json-schema.ts'
import { checkOptions, type RegistryOptions } from './options.ts'
import { protobufFormat } from './protobuf.ts'
import { createRest } from './rest.ts'
import { createSchemas } from './schemas.ts'

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
  const schemas = createSchemas(createRest(settings, clock), settings, clock)
  return {
    avro: ({ logicalTypes, ...given } = {}) =>
      createRegistryCodec(avroFormat({ logicalTypes }), schemas, given, 'registry.avro()'),
    jsonSchema: (given = {}) => createRegistryCodec(jsonSchemaFormat(), schemas, given, 'registry.jsonSchema()'),
    protobuf: (given = {}) => createRegistryCodec(protobufFormat(), schemas, given, 'registry.protobuf()'),
  }
}
