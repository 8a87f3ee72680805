// Byte for byte what Confluent's own client writes; confluent/record.ts made the recording.
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { avroFormat } from '../src/avro/format.ts'
import type { Format } from '../src/format.ts'
import { jsonSchemaFormat } from '../src/json-schema/format.ts'
import { protobufFormat } from '../src/protobuf/format.ts'
import type { Schema } from '../src/schema.ts'
import { vectors } from './confluent/vectors.ts'

const { recorded } = JSON.parse(readFileSync(new URL('confluent/recorded.json', import.meta.url), 'utf8')) as {
  recorded: Readonly<Record<string, string>>
}
const formats: Readonly<Record<string, Format>> = {
  avro: avroFormat(),
  json: jsonSchemaFormat(),
  protobuf: protobufFormat(),
}
const HEADER = '000000002a'

describe('bytes of confluent-kafka', () => {
  for (const { name, format, schema: text, message, value } of vectors) {
    const { type, writer, reader } = formats[format]!
    const schema: Schema = { type, schema: text, references: [], needs: [] }
    test(`${name}: we write them`, () => {
      expect(Buffer.from(writer(42, schema, message)(value)).toString('hex')).toBe(HEADER + recorded[name])
    })
    test(`${name}: we read them`, () => {
      const read = reader({ id: 42, schema }, undefined)(Buffer.from(HEADER + recorded[name], 'hex'))
      expect(JSON.parse(JSON.stringify(read))).toMatchObject(JSON.parse(JSON.stringify(value)) as object)
    })
  }
})
