import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { ChannelSpec } from './adapter.ts'
import { type Codec, json } from './codec.ts'
import { checkKeys, checkName, invalid, optionalFunction, optionalInteger } from './options.ts'
import { show } from './duration.ts'
import { checkVersions, schemaUrn, type Upcasts } from './versions.ts'

/** Any Standard Schema: zod, valibot, arktype and others. */
export type Schema<I = unknown, O = I> = StandardSchemaV1<I, O>
export type In<S extends Schema> = StandardSchemaV1.InferInput<S>
export type Out<S extends Schema> = StandardSchemaV1.InferOutput<S>
type AnySchema = StandardSchemaV1<any, any> // oxlint-disable-line typescript/no-explicit-any -- the bound of an inferred schema
/** Options may be given as `undefined`. */
export type Opt<T> = { readonly [K in keyof T]?: T[K] | undefined }

/** A named, typed flow of messages: a value, with no I/O. `I` is what is published, `O` what handlers get. */
export interface Channel<I, O = I, G extends string = string> {
  readonly name: string
  readonly groups: readonly G[]
  readonly '~definition': ChannelDefinition
  readonly '~types'?: ((value: I) => O) | undefined
}
export type AnyChannel = Channel<any, any, any> // oxlint-disable-line typescript/no-explicit-any -- any payload
export type InputOf<C> = C extends Channel<infer I, any, any> ? I : never // oxlint-disable-line typescript/no-explicit-any
export type OutputOf<C> = C extends Channel<any, infer O, any> ? O : never // oxlint-disable-line typescript/no-explicit-any

/** What core works with; made by {@link channel} alone. */
export interface ChannelDefinition {
  readonly spec: ChannelSpec
  readonly schema: Schema
  readonly codec: Codec
  readonly key: ((value: unknown) => string | undefined) | undefined
  readonly type: (value: unknown) => string
  /** Made with {@link types}: the CloudEvents type says which schema, the body is `data` alone. */
  readonly variants: boolean
  /** The types that it knows, where it is made with {@link types}. */
  readonly known: ReadonlySet<string>
  readonly version: number | undefined
  readonly upcasts: Upcasts
  /** CloudEvents `dataschema` of what is published: names the version. */
  readonly dataSchema: string | undefined
}

export interface ChannelOptions<S extends AnySchema, G extends string> extends Opt<{
  /** Same key, same order. Gets the value as published. `undefined`: this message has no order. */
  key: (value: In<S>) => string | undefined
  /** CloudEvents type. Default: the channel's name. */
  type: string | ((value: In<S>) => string)
  /** Groups that exist, and get every message, before any consumer runs. */
  groups: readonly G[]
  /** Default: {@link json}. */
  codec: Codec
  /** Lanes. Default: the adapter's. */
  partitions: number
  /** Largest message in bytes as the broker counts them, headers included. Default 256 KiB. */
  maxBytes: number
  /** The version of the data that is published, from 1: travels as CloudEvents `dataschema`. Default: none travels, which readers take for 1. */
  version: number
  /**
   * What makes data of an older version that of the next: `{ 1: (v1) => v2 }`. Runs before validation, step by step up to
   * `version`; of a channel of several types it gets `{ type, data }`. What throws goes to the dead letters.
   */
  upcast: Readonly<Record<number, (value: any) => unknown>> // oxlint-disable-line typescript/no-explicit-any -- what it was
}> {
  readonly schema: S
}

const OPTIONS = ['schema', 'key', 'type', 'groups', 'codec', 'partitions', 'maxBytes', 'version', 'upcast']
export const DEFAULT_MAX_BYTES: number = 256 * 1024

/**
 * Defines a channel.
 *
 * @throws {PolybusError} `INVALID_OPTION` naming the field.
 * @example
 * const orders = channel('orders', { schema: trust<{ id: string; customer: string }>(), key: (order) => order.customer, groups: ['email'] })
 */
export function channel<S extends AnySchema, const G extends string = string>(
  name: string,
  options: ChannelOptions<S, G>,
): Channel<In<S>, Out<S>, G> {
  checkName(name, 'channel name')
  const where = `channel '${name}'`
  checkKeys(options, OPTIONS, where)
  const { schema, key, type = name, groups = [], codec = json, partitions, maxBytes = DEFAULT_MAX_BYTES } = options
  const standard = (schema as Partial<AnySchema> | undefined)?.['~standard'] as
    | { version?: unknown; validate?: unknown }
    | undefined
  if (standard?.version !== 1 || typeof standard.validate !== 'function')
    throw invalid(
      `${where}.schema`,
      `${show(schema)} is no Standard Schema. Use zod, valibot, arktype or another library that follows it, or trust<T>() for typed but unchecked data.`,
    )
  if (!Array.isArray(groups)) throw invalid(`${where}.groups`, `expected an array of names, got ${show(groups)}.`)
  for (const group of groups) checkName(group, `${where}.groups`)
  if (new Set(groups).size < groups.length) throw invalid(`${where}.groups`, 'a name stands twice.')
  if (
    typeof codec?.encode !== 'function' ||
    typeof codec.decode !== 'function' ||
    typeof codec.contentType !== 'string'
  )
    throw invalid(
      `${where}.codec`,
      `expected json, text or bytes of 'polybus' (a value, not its name), or an object with contentType, encode and decode, got ${show(codec)}.`,
    )
  if (typeof type !== 'function' && (typeof type !== 'string' || type === ''))
    throw invalid(`${where}.type`, `expected a text or a function, got ${show(type)}.`)
  optionalFunction(key, `${where}.key`)
  const known = new Set((schema as { '~variants'?: readonly string[] })['~variants'])
  const variants = known.size > 0
  const { version, upcasts } = checkVersions(options.version, options.upcast, where)
  if (upcasts.size > 0 && codec.evolves)
    throw invalid(
      `${where}.upcast`,
      "would get data that the codec has made today's already. Have the codec read what was written (of a schema registry: readAs: 'written'), or leave upcast out.",
    )
  const definition: ChannelDefinition = {
    spec: {
      name,
      keyed: key !== undefined,
      partitions: optionalInteger(partitions, `${where}.partitions`, 1, 1024),
      groups: [...groups],
      maxBytes: optionalInteger(maxBytes, `${where}.maxBytes`, 1) ?? DEFAULT_MAX_BYTES,
    },
    schema,
    codec,
    key: key,
    type: variants ? (value) => (value as { type: string }).type : typeof type === 'function' ? type : () => type,
    variants,
    known,
    version,
    upcasts,
    dataSchema: version === undefined ? undefined : schemaUrn(name, version),
  }
  return { name, groups: [...groups], '~definition': definition }
}

/** Typed but unchecked data: every value passes. */
export function trust<T>(): Schema<T, T> {
  return { '~standard': { version: 1, vendor: 'polybus', validate: (value) => ({ value: value as T }) } }
}

type Variants = Record<string, AnySchema>
/**
 * Several message types on one channel, told apart by CloudEvents type.
 *
 * @example
 * const events = channel('order-events', { schema: types({ 'order.placed': trust<{ id: string }>(), 'order.cancelled': trust<{ id: string; why: string }>() }) })
 */
export function types<T extends Variants>(
  map: T,
): Schema<
  { [K in keyof T & string]: { type: K; data: In<T[K]> } }[keyof T & string],
  { [K in keyof T & string]: { type: K; data: Out<T[K]> } }[keyof T & string]
> {
  if (Object.keys(map).length === 0) throw invalid('types()', 'name at least one type.')
  type Input = { [K in keyof T & string]: { type: K; data: In<T[K]> } }[keyof T & string]
  type Output = { [K in keyof T & string]: { type: K; data: Out<T[K]> } }[keyof T & string]
  const finish = (type: string, result: StandardSchemaV1.Result<unknown>): StandardSchemaV1.Result<Output> =>
    result.issues
      ? { issues: result.issues.map((issue) => ({ ...issue, path: ['data', ...(issue.path ?? [])] })) }
      : { value: { type, data: result.value } }
  const schema: Schema<Input, Output> & { '~variants': readonly string[] } = {
    '~variants': Object.keys(map),
    '~standard': {
      version: 1,
      vendor: 'polybus',
      validate(value) {
        const { type, data } = (typeof value === 'object' && value !== null ? value : {}) as {
          type?: unknown
          data?: unknown
        }
        const variant = typeof type === 'string' && Object.hasOwn(map, type) ? map[type] : undefined
        if (!variant)
          return {
            issues: [{ message: `unknown type ${show(type)}; known: ${Object.keys(map).join(', ')}`, path: ['type'] }],
          }
        const result = variant['~standard'].validate(data)
        return result instanceof Promise
          ? result.then((settled) => finish(type as string, settled))
          : finish(type as string, result)
      },
    },
  }
  return schema
}
