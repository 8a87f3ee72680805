// A channel's codec by the registry. What has been looked up once costs a Map's look-up; only what is new asks, and is waited for.
import {
  checkKeys,
  type Codec,
  type CodecContext,
  describeError,
  invalid,
  type MaybePromise,
  type Opt,
  optionalBoolean,
  optionalInteger,
  PolybusError,
  show,
} from '@polybus/core'
import type { Format, Own, Read, Write } from './format.ts'
import { bufferOf, idOf } from './frame.ts'
import type { Reference, Registered, Schema, Schemas, SchemaText } from './schemas.ts'
import { subjectOf, type SubjectName } from './subjects.ts'

/** A schema of the application: an object or its text; of Protobuf the text of the file. */
export type LocalSchema = string | object

export interface RegistryCodecOptions extends Opt<{
  /** What the application writes and reads. Default: writes the latest of the subject, and reads with the schema that was written with. */
  schema: LocalSchema
  /** Of a channel of several types, by type. */
  schemas: Readonly<Record<string, LocalSchema>>
  /** What {@link RegistryCodecOptions.schema} refers to. */
  references: readonly Reference[]
  /** Writes with the schema of this id, whatever is the latest. */
  id: number
  /** Default `topic`: `<channel>-value`. */
  subject: SubjectName
  /** Registers the schema at the first publish, where it is not registered. Default false: it must be there. */
  register: boolean
  /** Of a Protobuf file with several messages the one that is meant. Default the first; with `schemas` that of the type's schema. */
  message: string
}> {}

interface Target {
  readonly local: SchemaText | undefined
  readonly subject: string
}
interface Writer {
  readonly target: Target
  readonly registered: Registered
  readonly write: Write
}

const KNOWN = ['schema', 'schemas', 'references', 'id', 'subject', 'register', 'message']

/** @throws {PolybusError} `INVALID_OPTION` */
function checkOptions(options: RegistryCodecOptions, where: string): void {
  checkKeys(options, KNOWN, where)
  const { schema, schemas, references, subject, message } = options
  const isSchema = (value: unknown): boolean =>
    (typeof value === 'string' && value !== '') || (typeof value === 'object' && value !== null)
  if (schema !== undefined && !isSchema(schema))
    throw invalid(`${where}.schema`, `expected a schema, as an object or its text, got ${show(schema)}.`)
  if (
    schemas !== undefined &&
    (typeof schemas !== 'object' || schemas === null || !Object.values(schemas).every(isSchema))
  )
    throw invalid(`${where}.schemas`, 'expected an object of schemas by type.')
  if (schema !== undefined && schemas !== undefined)
    throw invalid(`${where}.schemas`, 'give schema or schemas, not both.')
  if (references !== undefined && !Array.isArray(references))
    throw invalid(`${where}.references`, 'expected an array of { name, subject, version }.')
  if (subject !== undefined && typeof subject !== 'function' && (typeof subject !== 'string' || subject === ''))
    throw invalid(`${where}.subject`, `expected a text or a function, got ${show(subject)}.`)
  if (message !== undefined && (typeof message !== 'string' || message === ''))
    throw invalid(`${where}.message`, `expected the name of a message, got ${show(message)}.`)
  optionalInteger(options.id, `${where}.id`, 0, 2 ** 32 - 1)
  optionalBoolean(options.register, `${where}.register`)
}

/** @param where how errors name the options. */
export function createRegistryCodec(
  format: Format,
  schemas: Schemas,
  options: RegistryCodecOptions,
  where: string,
): Codec {
  checkOptions(options, where)
  const { references = [], id: pinned, register = false, message, subject: strategy = 'topic' } = options
  const textOf = (schema: LocalSchema): SchemaText => ({
    type: format.type,
    schema: typeof schema === 'string' ? schema : JSON.stringify(schema),
    references,
  })
  const only = options.schema === undefined ? undefined : textOf(options.schema)
  const byType = new Map(Object.entries(options.schemas ?? {}).map(([type, schema]) => [type, textOf(schema)]))

  const localOf = ({ type }: CodecContext): SchemaText | undefined =>
    only ?? (type === undefined ? undefined : byType.get(type))
  const targetOf = (context: CodecContext): Target => {
    const local = localOf(context)
    if (byType.size > 0 && !local)
      throw new PolybusError('INVALID_MESSAGE', `there is no schema for type '${context.type ?? ''}'`)
    const record = local && format.nameOf(local, message)
    const subject = subjectOf(strategy, { ...context, record })
    if (!subject)
      throw new PolybusError(
        'INVALID_OPTION',
        `subject '${String(strategy)}' needs a schema with a name: give the codec its schema, or a subject.`,
      )
    return { local, subject }
  }

  // ---- writing
  const writers = new Map<string, Writer>()
  const registeredOf = ({ local, subject }: Target): MaybePromise<Registered> => {
    if (pinned !== undefined) return Promise.resolve(schemas.byId(pinned)).then((schema) => ({ id: pinned, schema }))
    if (!local) return schemas.latest(subject)
    return register ? schemas.register(subject, local) : schemas.find(subject, local)
  }
  const explained = (error: unknown, { subject, local }: Target): never => {
    if (!PolybusError.is(error, 'SCHEMA_NOT_REGISTERED') || register) throw error
    throw new PolybusError(
      'SCHEMA_NOT_REGISTERED',
      `${local ? 'its schema is not registered' : 'there is no schema'} under subject '${subject}'. Register it, or set register: true on the codec. ${error.message}`,
      { cause: error },
    )
  }
  const madeFor = (key: string, target: Target, registered: Registered): Writer => {
    const { id, schema } = registered
    if (schema.type !== format.type)
      throw new PolybusError('SCHEMA_INVALID', `schema ${id} is ${schema.type}, and this codec writes ${format.type}`)
    const writer = { target, registered, write: format.writer(id, schema, message) }
    writers.set(key, writer)
    return writer
  }
  /** What is the latest may be another one tomorrow; all else stays. */
  const isLatest = pinned === undefined && !only && byType.size === 0
  const writerFor = (context: CodecContext): MaybePromise<Writer> => {
    const key = `${context.channel}\n${context.type ?? ''}`
    const known = writers.get(key)
    if (known && !isLatest) return known
    const target = known?.target ?? targetOf(context)
    const registered = registeredOf(target)
    if (!isPromise(registered)) return known?.registered === registered ? known : madeFor(key, target, registered)
    return registered.then(
      (found) => madeFor(key, target, found),
      (error: unknown) => explained(error, target),
    )
  }

  // ---- reading
  const readers = new Map<string | number, Read>()
  const ownOf = async (context: CodecContext): Promise<Own | undefined> => {
    const local = localOf(context)
    if (!local) return undefined
    const { subject } = targetOf(context)
    let name = `the reader's schema`
    let schema: Schema = { ...local, needs: [] }
    try {
      const found = await schemas.find(subject, local)
      name = `the reader's schema ${found.id}`
      schema = found.schema
    } catch (error) {
      // A reader may be newer than the registry; without references it can do without.
      if (local.references.length > 0 || (PolybusError.is(error) && error.retryable)) throw error
      name = `the reader's schema, which is not registered under '${subject}',`
    }
    return { schema, message, name }
  }
  const loading = new Map<string | number, Promise<Read>>()
  /** However many wait for it, it is made once. */
  const readerFor = (id: number, context: CodecContext, key: string | number): Promise<Read> => {
    const underWay = loading.get(key)
    if (underWay) return underWay
    const made = readerOf(id, context)
      .then((read) => {
        readers.set(key, read)
        return read
      })
      .finally(() => loading.delete(key))
    loading.set(key, made)
    return made
  }
  const readerOf = async (id: number, context: CodecContext): Promise<Read> => {
    let schema: Schema
    try {
      schema = await schemas.byId(id)
    } catch (error) {
      if (PolybusError.is(error, 'SCHEMA_NOT_REGISTERED'))
        throw new PolybusError('DECODE_FAILED', `the registry has no schema ${id}: ${error.message}`, { cause: error })
      throw error
    }
    if (schema.type !== format.type)
      throw new PolybusError('DECODE_FAILED', `schema ${id} is ${schema.type}, and this codec reads ${format.type}`)
    return format.reader({ id, schema }, await ownOf(context))
  }
  const reading = (read: Read, id: number, frame: Buffer): unknown => {
    try {
      return read(frame)
    } catch (error) {
      if (PolybusError.is(error)) throw error
      throw new PolybusError('DECODE_FAILED', `it is no data of schema ${id}: ${describeError(error).message}`, {
        cause: error,
      })
    }
  }

  return {
    contentType: format.contentType,
    checked: true,
    encode(value, context) {
      const writer = writerFor(context)
      return isPromise(writer) ? writer.then(({ write }) => write(value)) : writer.write(value)
    },
    decode(body, context) {
      const frame = bufferOf(body)
      const id = idOf(frame)
      const key = byType.size === 0 ? id : `${id}\n${context.type ?? ''}`
      const read = readers.get(key)
      if (read) return reading(read, id, frame)
      return readerFor(id, context, key).then((made) => reading(made, id, frame))
    },
  }
}

const isPromise = <T>(value: MaybePromise<T>): value is Promise<T> => value instanceof Promise
