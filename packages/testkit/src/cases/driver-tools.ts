// What driver cases share: an adapter without core above it.
import assert from 'node:assert/strict'
import type { Adapter, ChannelSpec, Delivery, WireMessage } from '@polybus/core'
import { spec } from '../case.ts'
import { type Driver, drive } from '../driver.ts'
import type { Env } from '../env.ts'

/** A channel of this case's own, set up on the broker. */
export async function driver(
  env: Env,
  options: {
    keyed?: boolean
    groups?: readonly string[]
    partitions?: number
    on?: Adapter
    channel?: ChannelSpec
  } = {},
): Promise<Driver> {
  const adapter = await env.connect(options.on ?? env.open())
  const channel = options.channel ?? {
    ...spec(env.name(), options.keyed ?? false, options.groups ?? ['work']),
    partitions: options.partitions,
  }
  const made = drive(adapter, channel, { call: env.call, clock: env.clock, patienceMs: env.timing.patienceMs })
  await made.create()
  return made
}

/** Bytes of headers compare by value, whatever class they have. */
export const plainHeaders = (
  headers: WireMessage['headers'],
): readonly (readonly [string, string | readonly number[]])[] =>
  headers.map(([name, value]) => [name, typeof value === 'string' ? value : [...value]])

/** In wire order where the broker keeps it. */
export const comparable = (
  headers: WireMessage['headers'],
  { ordered }: { readonly ordered: boolean },
): readonly string[] => {
  const texts = plainHeaders(headers).map((pair) => JSON.stringify(pair))
  return ordered ? texts : texts.toSorted()
}

export const withoutOurs = (headers: WireMessage['headers']): WireMessage['headers'] =>
  headers.filter(([name]) => !name.startsWith('polybus-'))

export function sameBytes(actual: Uint8Array | null | undefined, expected: Uint8Array | null, what = 'body'): void {
  if (expected === null || !actual) return assert.equal(actual, expected, what)
  assert.ok(
    Buffer.compare(actual, expected) === 0,
    `${what}: ${actual.length} bytes are not the ${expected.length} bytes that were sent`,
  )
}

export const sortedIds = (deliveries: readonly Delivery[]): readonly (string | undefined)[] =>
  sorted(deliveries.map(({ message }) => message.id))

export const sorted = (texts: readonly (string | undefined)[]): readonly (string | undefined)[] =>
  texts.toSorted((a = '', c = '') => (a < c ? -1 : 1))
