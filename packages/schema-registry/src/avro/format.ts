// Avro, by avsc: what was written with the writer's schema is read by the reader's, as Avro's rules for evolution say.
import { describeError, PolybusError } from '@polybus/core'
import avsc, { type Type } from 'avsc'
import { bounded } from './bounded.ts'
import { differences } from './differences.ts'
import { faithful } from './faithful.ts'
import { FRAME_BYTES, writeHeader } from '../frame.ts'
import { compiling, type Format, type Read } from '../format.ts'
import { avroShape } from './shape.ts'
import type { Schema } from '../schema.ts'

const SLAB_BYTES = 8 * 1024
const MOST_KEPT_BYTES = 1024 * 1024

export interface AvroOptions {
  /** Avsc's logical types, by name. */
  readonly logicalTypes?: Readonly<Record<string, new () => object>> | undefined
}

export function avroFormat({ logicalTypes = {} }: AvroOptions = {}): Format {
  const compile = ({ schema, needs }: Pick<Schema, 'schema' | 'needs'>): Type => {
    const shared = {
      registry: {} as Record<string, Type>,
      logicalTypes: logicalTypes as never,
      typeHook: bounded as never,
    }
    return compiling('Avro', () => {
      for (const need of needs) avsc.Type.forSchema(parse(need.schema), shared)
      return avsc.Type.forSchema(parse(schema), shared)
    })
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
      const refuseUnfaithful = faithful(type)
      let slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
      let writing = false
      /** A getter of the value may publish, too: then the slab is taken. */
      const slabbed = (value: unknown): Buffer => {
        let end = type.encode(value, slab, FRAME_BYTES)
        if (end < 0) {
          // It says how many bytes are missing.
          slab = Buffer.allocUnsafeSlow(slab.length - end)
          end = type.encode(value, slab, FRAME_BYTES)
        }
        const frame = Buffer.allocUnsafe(end)
        slab.copy(frame, 0, 0, end)
        if (slab.length > MOST_KEPT_BYTES) slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
        return frame
      }
      const alone = (value: unknown): Buffer => Buffer.concat([Buffer.alloc(FRAME_BYTES), type.toBuffer(value)])
      return (value) => {
        refuseUnfaithful(value)
        const nested = writing
        writing = true
        try {
          const frame = nested ? alone(value) : slabbed(value)
          writeHeader(frame, id)
          return frame
        } catch (error) {
          throw refusal(type, value, error)
        } finally {
          writing = nested
        }
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
    differences: (reader, writer) => differences(compile(reader), compile(writer)),
    shape: (schema) => avroShape(compile(schema)),
    check: (schema) => void compile(schema),
  }
}

/** Avsc names what it refuses, and not where it stands; and shows all of it. */
function refusal(type: Type, value: unknown, error: unknown): PolybusError {
  let where: readonly string[] | undefined
  try {
    type.isValid(value, { errorHook: (path) => (where ??= [...path]) })
  } catch {
    // The first error is the one to tell.
  }
  const said = describeError(error).message
  const text = said.length > MOST_SAID ? `${said.slice(0, MOST_SAID)}…` : said
  return new PolybusError('UNSERIALISABLE', where && where.length > 0 ? `field '${where.join('.')}': ${text}` : text, {
    cause: error,
  })
}
const MOST_SAID = 200

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
