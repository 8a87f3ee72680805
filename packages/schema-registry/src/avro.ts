// Avro, by avsc: what was written with the writer's schema is read by the reader's, as Avro's rules for evolution say.
import { describeError, PolybusError } from '@polybus/core'
import avsc, { type Type } from 'avsc'
import { differences } from './avro-differences.ts'
import { undeclared } from './avro-undeclared.ts'
import { FRAME_BYTES, writeHeader } from './frame.ts'
import type { Format, Read } from './format.ts'
import type { Schema } from './schemas.ts'

const SLAB_BYTES = 8 * 1024
const MOST_KEPT_BYTES = 1024 * 1024

export interface AvroOptions {
  /** Avsc's logical types, by name. */
  readonly logicalTypes?: Readonly<Record<string, new () => object>> | undefined
}

export function avroFormat({ logicalTypes = {} }: AvroOptions = {}): Format {
  const compile = ({ schema, needs }: Pick<Schema, 'schema' | 'needs'>): Type => {
    const shared = { registry: {} as Record<string, Type>, logicalTypes: logicalTypes as never }
    try {
      for (const need of needs) avsc.Type.forSchema(parse(need.schema), shared)
      return avsc.Type.forSchema(parse(schema), shared)
    } catch (error) {
      throw new PolybusError('SCHEMA_INVALID', `It is no Avro schema: ${describeError(error).message}.`, {
        cause: error,
      })
    }
  }
  return {
    type: 'AVRO',
    contentType: 'application/vnd.apache.avro+binary',
    nameOf({ schema }) {
      const { name, namespace } = parse(schema) as { name?: string; namespace?: string }
      return name === undefined || name.includes('.') || !namespace ? name : `${namespace}.${name}`
    },
    writer(id, schema) {
      const type = compile(schema)
      const refuseUndeclared = undeclared(type)
      let slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
      return (value) => {
        refuseUndeclared(value)
        let end = type.encode(value, slab, FRAME_BYTES)
        if (end < 0) {
          // It says how many bytes are missing.
          slab = Buffer.allocUnsafeSlow(slab.length - end)
          end = type.encode(value, slab, FRAME_BYTES)
        }
        const frame = Buffer.allocUnsafe(end)
        slab.copy(frame, 0, 0, end)
        writeHeader(frame, id)
        if (slab.length > MOST_KEPT_BYTES) slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
        return frame
      }
    },
    reader({ id, schema }, own) {
      const writer = compile(schema)
      if (!own) return behindHeader(writer)
      const type = compile(own.schema)
      if (schema.schema === own.schema.schema) return behindHeader(type)
      try {
        return behindHeader(type, type.createResolver(writer))
      } catch (error) {
        const where = differences(type, writer)
        throw new PolybusError(
          'DECODE_FAILED',
          `it was written with schema ${id}, which ${own.name} cannot read: ${where.length > 0 ? where.join('; ') : describeError(error).message}`,
          { cause: error },
        )
      }
    },
  }
}

/** Of the whole frame: to cut its header off for each message costs more than it looks. */
function behindHeader(type: Type, resolver?: ReturnType<Type['createResolver']>): Read {
  return (frame) => {
    const { value, offset } = type.decode(frame, FRAME_BYTES, resolver)
    if (offset < 0) throw new Error('truncated buffer')
    if (offset !== frame.length) throw new Error(`${frame.length - offset} bytes stand behind it`)
    return value
  }
}

/** A bare name such as `string` is a schema, too. */
function parse(text: string): avsc.Schema {
  try {
    return JSON.parse(text) as avsc.Schema
  } catch {
    return text
  }
}
