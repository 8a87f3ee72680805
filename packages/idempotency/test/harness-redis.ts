// The store suite's way to a real Redis, which is this suite's alone.
import { type RunningBroker, startBroker } from '@polybus/brokers'
import { Redis } from 'ioredis'
import { redisStore } from '../src/index.ts'
import type { OpenOptions, OpenStore, ServerFaults } from '../src/testing/index.ts'

export const name = 'redis'
export const kind = 'claim'
export const parks = true
export const INSTANCE = 'store-redis'
const broker = (): Promise<RunningBroker> => startBroker('redis', { instance: INSTANCE })

/** As a user would make it, but for a client that comes back sooner. */
export async function open({ namespace, ttl, timeout, clock }: OpenOptions): Promise<OpenStore> {
  const client = new Redis((await broker()).url, { retryStrategy: () => 100 })
  client.on('error', () => {})
  const store = redisStore(client, { prefix: `${namespace}:`, ttl, timeout, clock })
  return { store, close: () => Promise.resolve(client.disconnect()) }
}

async function aside<T>(use: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis((await broker()).url)
  try {
    return await use(client)
  } finally {
    client.disconnect()
  }
}
const keysOf = (client: Redis, namespace: string): Promise<string[]> => client.keys(`*${namespace}:*`)

export const rows = (namespace: string): Promise<number> =>
  aside(async (client) => (await keysOf(client, namespace)).length)

export const fill = (namespace: string, count: number): Promise<void> =>
  aside(async (client) => {
    const write = `for i = ARGV[1], ARGV[2] do redis.call('SET', ARGV[3] .. 'filled:' .. i, 'd', 'PX', 604800000) end`
    for (let from = 1; from <= count; from += 10_000)
      await client.eval(write, 0, from, Math.min(count, from + 9999), `${namespace}:`)
  })

let running: RunningBroker | undefined
export const prepare = async (): Promise<void> => {
  running = await broker()
}
const server: ServerFaults = {
  kill: async () => (await broker()).kill(),
  start: async () => (await broker()).start(),
  pause: async () => running?.pause(),
  resume: async () => running?.resume(),
}
export { server }

export const cleanup = (namespace: string): Promise<void> =>
  aside(async (client) => {
    const keys = await keysOf(client, namespace)
    for (let from = 0; from < keys.length; from += 1000) await client.unlink(...keys.slice(from, from + 1000))
  })
