// A channel's codec by the registry. What has been looked up once costs a Map's look-up; only what is new asks, and is waited for.
import { type Codec, type CodecContext, describeError, type MaybePromise, PolybusError } from '@polybus/core'
import type { RegistryCodecOptions } from './codec-options.ts'
import type { Format, Own, Read, Write } from './format.ts'
import { bufferOf, idOf } from './frame.ts'
import type { Judge } from './judge.ts'
import type { Schema } from './schema.ts'
import type { Registered, Schemas } from './schemas.ts'
import type { Target, Targets } from './targets.ts'

interface Writer {
  readonly target: Target
  readonly registered: Registered
  readonly write: Write
}

interface Parts {
  readonly format: Format
  readonly schemas: Schemas
  readonly judge: Judge
  readonly targets: Targets
}

export function createRegistryCodec({ format, schemas, judge, targets }: Parts, options: RegistryCodecOptions): Codec {
  const { id: pinned, register = false, message, readAs = 'own', require: required } = options

  // ---- writing
  const writers = new Map<string, Writer>()
  const registeredOf = ({ local, subject }: Target): MaybePromise<Registered> => {
    if (pinned !== undefined) return Promise.resolve(schemas.byId(pinned)).then((schema) => ({ id: pinned, schema }))
    if (!local) return schemas.latest(subject)
    return register ? schemas.register(subject, local) : schemas.find(subject, local)
  }
  const explained = (error: unknown, { subject, local }: Target): never => {
    if (!PolybusError.is(error, 'SCHEMA_NOT_REGISTERED') || register) throw error
    if (pinned !== undefined)
      throw new PolybusError(
        'SCHEMA_NOT_REGISTERED',
        `the registry has no schema ${pinned}, which the codec pins. ${error.message}`,
        {
          cause: error,
        },
      )
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
    keep(writers, key, writer)
    return writer
  }
  /** What is the latest may be another one tomorrow; all else stays. */
  const isLatest = pinned === undefined && !options.schema && !targets.byType
  const writerFor = (context: CodecContext): MaybePromise<Writer> => {
    const key = `${context.channel}\n${context.type ?? ''}`
    const known = writers.get(key)
    if (known && !isLatest) return known
    const target = known?.target ?? targets.of(context)
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
    const local = targets.localOf(context)
    if (!local || readAs === 'written') return undefined
    const { subject } = targets.of(context)
    let name: string
    let schema: Schema
    try {
      const found = await schemas.find(subject, local)
      name = `the reader's schema ${found.id}`
      schema = found.schema
    } catch (error) {
      if (!PolybusError.is(error, 'SCHEMA_NOT_REGISTERED')) throw error
      // A reader may be newer than the registry: then only what it refers to has to be there.
      name = `the reader's schema, which is not registered under '${subject}',`
      schema = await schemas.whole(local).catch((missing: unknown) => {
        throw readerAtFault(missing)
      })
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
        keep(readers, key, read)
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

  // ---- before the first use
  const demand = async (target: Target): Promise<void> => {
    const { local, subject } = target
    await Promise.resolve(registeredOf(target)).catch((error: unknown) => explained(error, target))
    if (required !== 'compatible' || !local) return
    const { status, breaks } = await judge(format, subject, local, message)
    if (status === 'incompatible')
      throw new PolybusError(
        'SCHEMA_INCOMPATIBLE',
        `its schema is not compatible with subject '${subject}': ${breaks.join('; ')}`,
      )
  }

  return {
    contentType: format.contentType,
    checked: true,
    evolves: readAs === 'own' && (options.schema !== undefined || targets.byType),
    encode(value, context) {
      const writer = writerFor(context)
      return isPromise(writer) ? writer.then(({ write }) => write(value)) : writer.write(value)
    },
    decode(body, context) {
      const frame = bufferOf(body)
      const id = idOf(frame)
      const key = !targets.byType ? id : `${id}\n${context.type ?? ''}`
      const read = readers.get(key)
      if (read) return reading(read, id, frame)
      return readerFor(id, context, key).then((made) => reading(made, id, frame))
    },
    async ready(context) {
      if (required) for (const target of targets.all(context)) await demand(target)
    },
  }
}

const isPromise = <T>(value: MaybePromise<T>): value is Promise<T> => value instanceof Promise

/** Far more than a channel has; types that foreign producers invent must not fill the memory. */
const MOST_KEPT = 1000
function keep<K, V>(map: Map<K, V>, key: K, value: V): void {
  map.set(key, value)
  if (map.size <= MOST_KEPT) return
  for (const oldest of map.keys()) {
    map.delete(oldest)
    return
  }
}

/** No message can be blamed for what the reader's own schema lacks: consuming waits for it. */
const readerAtFault = (error: unknown): unknown =>
  PolybusError.is(error) && !error.retryable
    ? new PolybusError(error.code, `what the reader's schema refers to is missing: ${error.message}`, {
        cause: error,
        retryable: true,
      })
    : error
