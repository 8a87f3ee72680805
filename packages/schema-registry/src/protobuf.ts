// Protobuf, by protobufjs, in the frames of Confluent's own clients: behind the header stands which message of the file it is.
import { describeError, PolybusError } from '@polybus/core'
import type { Type } from 'protobufjs'
import { dataOf, frame } from './frame.ts'
import type { Format } from './format.ts'
import { readIndexes, writeIndexes } from './message-indexes.ts'
import { checkMessage } from './protobuf-check.ts'
import { compileFile, type ProtoFile } from './protobuf-file.ts'
import type { SchemaText, Schema } from './schemas.ts'

/** As JSON has them, so that nothing is lost: 64 bits as texts, enums by name. */
const AS_OBJECT = { longs: String, enums: String, defaults: true, arrays: true, objects: true, oneofs: true } as const

export function protobufFormat(): Format {
  const compile = (schema: Schema): ProtoFile => {
    try {
      return compileFile(schema)
    } catch (error) {
      throw new PolybusError('SCHEMA_INVALID', `It is no Protobuf schema: ${describeError(error).message}.`, {
        cause: error,
      })
    }
  }
  return {
    type: 'PROTOBUF',
    contentType: 'application/x-protobuf',
    nameOf(schema: SchemaText, message) {
      const file = compile({ ...schema, needs: [] })
      return nameOf(message === undefined ? file.first() : file.byName(message))
    },
    writer(id, schema, message) {
      const file = compile(schema)
      const type = message === undefined ? file.first() : file.byName(message)
      const indexes = writeIndexes(file.pathOf(type))
      return (value) => {
        checkMessage(type, value)
        return frame(id, indexes, type.encode(type.fromObject(value as object)).finish())
      }
    },
    reader({ id, schema }, own) {
      const file = compile(schema)
      const wanted = own && compile(own.schema)
      const reading = wanted && (own.message === undefined ? wanted.first() : wanted.byName(own.message))
      return (bytes) => {
        const { path, data } = readIndexes(dataOf(bytes))
        const written = file.byPath(path)
        if (!written) throw new PolybusError('DECODE_FAILED', `schema ${id} has no message at ${path.join('.')}`)
        if (reading && reading.name !== written.name)
          throw new PolybusError(
            'DECODE_FAILED',
            `it is a ${nameOf(written)} of schema ${id}, and ${own.name} reads ${nameOf(reading)}`,
          )
        const type = reading ?? written
        return type.toObject(type.decode(data), AS_OBJECT)
      }
    },
  }
}

const nameOf = ({ fullName }: Type): string => fullName.replace(/^\./, '')
