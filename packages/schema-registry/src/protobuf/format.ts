// Protobuf, by protobufjs, in the frames of Confluent's own clients: behind the header stands which message of the file it is.
import { PolybusError } from '@polybus/core'
import type { Type } from 'protobufjs'
import { dataOf, frame } from '../frame.ts'
import { compiling, type Format } from '../format.ts'
import { differences } from './differences.ts'
import { protobufShape } from './shape.ts'
import { readIndexes, writeIndexes } from './message-indexes.ts'
import { checkMessage } from './check.ts'
import { compileFile, nameIn, type ProtoFile } from './file.ts'
import type { SchemaText, Schema } from '../schema.ts'

/** As JSON has them, so that nothing is lost: 64 bits as texts, enums by name. */
const AS_OBJECT = { longs: String, enums: String, defaults: true, arrays: true, objects: true, oneofs: true } as const

export function protobufFormat(): Format {
  const compile = (schema: Schema): ProtoFile => compiling('Protobuf', () => compileFile(schema))
  const chosen = (file: ProtoFile, message: string | undefined): Type =>
    message === undefined ? file.first() : file.byName(message)
  return {
    type: 'PROTOBUF',
    contentType: 'application/x-protobuf',
    nameOf: ({ schema }: SchemaText, message) => compiling('Protobuf', () => nameIn(schema, message)),
    writer(id, schema, message) {
      const file = compile(schema)
      const type = chosen(file, message)
      const indexes = writeIndexes(file.pathOf(type))
      return (value) => {
        checkMessage(type, value)
        return frame(id, indexes, type.encode(type.fromObject(value as object)).finish())
      }
    },
    reader({ id, schema }, own) {
      const file = compile(schema)
      const wanted = own && compile(own.schema)
      const reading = wanted && chosen(wanted, own.message)
      /** Of each message of the file that came: what reads it. */
      const types = new Map<Type, Type>()
      const typeFor = (written: Type): Type => {
        if (!own || !reading) return written
        if (reading.fullName !== written.fullName)
          throw new PolybusError(
            'DECODE_FAILED',
            `it is a ${nameOf(written)} of schema ${id}, and ${own.name} reads ${nameOf(reading)}`,
          )
        // What has another form on the wire would be read as something else, and nobody would see it.
        const where = differences(reading, written)
        if (where.length > 0)
          throw new PolybusError(
            'DECODE_FAILED',
            `it was written with schema ${id}, which ${own.name} cannot read: ${where.join('; ')}`,
          )
        return reading
      }
      return (bytes) => {
        const { path, data } = readIndexes(dataOf(bytes))
        const written = file.byPath(path)
        if (!written) throw new PolybusError('DECODE_FAILED', `schema ${id} has no message at ${path.join('.')}`)
        let type = types.get(written)
        if (!type) types.set(written, (type = typeFor(written)))
        return type.toObject(type.decode(data), AS_OBJECT)
      }
    },
    differences(reader, writer, message) {
      const file = compile(reader)
      const type = chosen(file, message)
      return differences(type, compile(writer).find(file.nameWithin(type)))
    },
    shape: (schema, message) => protobufShape(chosen(compile(schema), message)),
    check: (schema) => void compile(schema),
  }
}

const nameOf = ({ fullName }: Type): string => fullName.replace(/^\./, '')
