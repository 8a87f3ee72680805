// Claims in Redis: shared by all processes, one round trip for calls that come together.
import { randomBytes } from 'node:crypto'
import {
  checkKeys,
  type Claim,
  type ClaimStore,
  type Clock,
  type Duration,
  invalid,
  optionalDuration,
  type Parking,
  systemClock,
} from '@polybus/core'
import { storedKey, storedPrefix } from './keys.ts'
import { createEvaluate, createTogether, type RedisClient } from './redis-client.ts'
import { createParking } from './redis-parking.ts'
import { CLAIMED, CLAIMS, FORGET, HANDLED, literally } from './redis-scripts.ts'
import { createUnanswered, familyOf } from './redis-unanswered.ts'

export interface RedisStoreOptions {
  /** What the store's keys begin with, so that other data can live beside them. Default `polybus:idempotency:`. */
  readonly prefix?: string | undefined
  /** How long a completed key is remembered. Default `'7d'`. */
  readonly ttl?: Duration | undefined
  /** After how long without an answer a call fails, which pauses consuming. Default `'5s'`. */
  readonly timeout?: Duration | undefined
  /** Default: a system clock of its own. */
  readonly clock?: Pick<Clock, 'timer' | 'turn'> | undefined
}

/** The Redis store: all of its calls are promises. */
export interface RedisStore extends ClaimStore {
  claim(key: string, leaseMs: number): Promise<Claim>
  complete(key: string, fence: unknown): Promise<boolean>
  release(key: string, fence: unknown): Promise<void>
  renew(key: string, fence: unknown, leaseMs: number): Promise<boolean>
  forget(prefix: string): Promise<void>
  readonly parking: Parking
}

const DUPLICATE: Claim = { status: 'duplicate' }
const BUSY: Claim = { status: 'busy' }
/** A command of so many keys takes the server less than a millisecond. */
const AT_ONCE = 250
const SCAN_COUNT = 1000

/**
 * Remembers handled messages in Redis 6.2 or newer, for all processes that use the same `prefix`. The client is yours: it is
 * neither configured nor closed. Redis must keep what it confirmed (`noeviction`, persistence): what it loses, runs again.
 *
 * @param client of ioredis: a `Redis` or a `Cluster`.
 * @throws {PolybusError} `INVALID_OPTION` where an option is wrong. Its calls reject with `STORE_UNAVAILABLE`, within `timeout`.
 * @example
 * const charge = consumer(orders, 'charge', { idempotency: redisStore(new Redis(url), { ttl: '3d' }), handler: collect })
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): RedisStore {
  if (typeof client?.eval !== 'function') throw invalid('redisStore() client', 'expected a client of ioredis.')
  checkKeys(options, ['prefix', 'ttl', 'timeout', 'clock'], 'redisStore()')
  const prefix = options.prefix ?? 'polybus:idempotency:'
  if (typeof prefix !== 'string' || prefix === '')
    throw invalid('redisStore().prefix', 'expected a text that is not empty.')
  const ttlMs = optionalDuration(options.ttl, 'redisStore().ttl', 1) ?? 7 * 86_400_000
  const timeoutMs = optionalDuration(options.timeout, 'redisStore().timeout', 1) ?? 5000
  const clock = options.clock ?? systemClock()
  if (typeof clock.timer !== 'function' || typeof clock.turn !== 'function')
    throw invalid('redisStore().clock', 'expected a clock with timer() and turn().')

  const evaluate = createEvaluate(client, timeoutMs, clock)
  // In a cluster keys live apart.
  const atOnce = client.isCluster === true ? 1 : AT_ONCE
  const together = createTogether(evaluate, CLAIMS, { clock, atOnce, first: [ttlMs] })
  const ask = (what: string, key: string, fence: unknown, leaseMs = 0, theirs = ''): Promise<unknown> =>
    together([prefix + storedKey(key)], [what, String(fence), leaseMs, theirs])
  // Fences are ours alone, and a server that lost its data cannot give one out twice.
  const self = randomBytes(12).toString('base64url')
  let count = 0
  const unanswered = createUnanswered()

  return {
    kind: 'claim',
    async claim(key, leaseMs) {
      const [last, ...others] = unanswered.take(key)
      const fence = `${last === undefined ? `${self}-${++count}` : familyOf(last)}.${++count}`
      try {
        const answer = await ask('claim', key, fence, leaseMs, others.join(' '))
        unanswered.forget(key, others)
        return answer === CLAIMED ? { status: 'claimed', fence } : answer === HANDLED ? DUPLICATE : BUSY
      } catch (error) {
        unanswered.remember(key, fence)
        throw error
      }
    },
    complete: async (key, fence) => (await ask('complete', key, fence)) === 1,
    async release(key, fence) {
      try {
        await ask('release', key, fence)
      } catch (error) {
        unanswered.remember(key, String(fence))
        throw error
      }
    },
    renew: async (key, fence, leaseMs) => (await ask('renew', key, fence, leaseMs)) === 1,
    parking: createParking(evaluate, { clock, atOnce, prefix }, () => `${self}-${++count}`),
    async forget(start) {
      const pattern = `${literally((client.options?.keyPrefix ?? '') + prefix + storedPrefix(start))}*`
      for (const node of (client.isCluster === true && client.nodes?.('master')) || [client]) {
        const step = createEvaluate(node, timeoutMs, clock)
        let cursor = '0'
        do cursor = String(await step(FORGET, [], [cursor, pattern, SCAN_COUNT]))
        while (cursor !== '0')
      }
    },
  }
}
