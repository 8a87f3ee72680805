// What the suite does not ask of every store: how the Redis store talks to its server, and what it does when answers fail to come.
import { randomUUID } from 'node:crypto'
import { inspect } from 'node:util'
import { describeBroker } from '@polybus/brokers'
import { PolybusError } from '@polybus/core'
import { Redis, type RedisOptions } from 'ioredis'
import { expect, onTestFinished, test, vi } from 'vitest'
import { type RedisClient, redisStore, type RedisStore, type RedisStoreOptions } from '../src/index.ts'

vi.setConfig({ testTimeout: 30_000 })

const unavailable = expect.objectContaining({ code: 'STORE_UNAVAILABLE' })
const fenceOf = async (store: RedisStore, key: string, leaseMs = 60_000): Promise<unknown> => {
  const claim = await store.claim(key, leaseMs)
  if (claim.status !== 'claimed') throw new Error(`expected to claim ${key}, it is ${claim.status}`)
  return claim.fence
}

await describeBroker(
  'redis',
  (broker) => {
    const connect = (options: Pick<RedisOptions, 'keyPrefix' | 'username' | 'password'> = {}): Redis => {
      const client = new Redis(broker().url, { retryStrategy: () => 50, ...options })
      client.on('error', () => {})
      onTestFinished(() => client.disconnect())
      return client
    }
    /** A store with keys of its own. */
    const storeOf = (client: RedisClient, options: RedisStoreOptions = {}): RedisStore =>
      redisStore(client, { prefix: `${randomUUID()}:`, ...options })
    /** A client whose calls are seen, and whose answers can be lost after the server has done its part. */
    const watched = () => {
      const client = connect()
      const calls: string[] = []
      const seen = { calls, loseAnswers: false }
      const after = async (name: string, answer: Promise<unknown>): Promise<unknown> => {
        calls.push(name)
        const value = await answer
        if (seen.loseAnswers) throw new Error('Connection is closed.')
        return value
      }
      const through: RedisClient = {
        eval: (...args) => after('eval', client.eval(...args)),
        evalsha: (...args) => after('evalsha', client.evalsha(...args)),
      }
      return { client, through, seen }
    }

    test('redis store: calls that come together are one command, and each gets its own answer', async () => {
      const { through, seen } = watched()
      const store = storeOf(through)
      const handled = await fenceOf(store, 'handled')
      await store.complete('handled', handled)
      const held = await fenceOf(store, 'held')
      seen.calls.length = 0
      const answers = await Promise.all([
        ...Array.from({ length: 100 }, (_, index) => store.claim(`k${index}`, 60_000)),
        store.claim('handled', 60_000),
        store.claim('held', 60_000),
        store.renew('held', held, 60_000),
        store.complete('held', 'no fence of ours'),
        store.complete('held', held),
        store.claim('held', 60_000),
      ])
      expect(seen.calls).toEqual(['evalsha'])
      expect(answers.slice(0, 100).every((claim) => (claim as { status: string }).status === 'claimed')).toBe(true)
      expect(answers.slice(100)).toEqual([
        { status: 'duplicate' },
        { status: 'busy' },
        true,
        false,
        true,
        { status: 'duplicate' },
      ])
    })

    test('redis store: a key that holds something else fails its own call, and no neighbour', async () => {
      const client = connect()
      const prefix = `${randomUUID()}:`
      const store = redisStore(client, { prefix })
      await client.lpush(`${prefix}list`, 'a')
      await client.set(`${prefix}text`, 'a')
      const [list, text, fine] = await Promise.allSettled([
        store.claim('list', 1000),
        store.claim('text', 1000),
        store.claim('fine', 1000),
      ])
      expect(list).toMatchObject({ status: 'rejected', reason: unavailable })
      expect(text).toMatchObject({ status: 'rejected', reason: unavailable })
      expect(fine).toMatchObject({ value: { status: 'claimed' } })
      expect(await client.get(`${prefix}text`)).toBe('a')
    })

    test('redis store: a server that has forgotten the script is told it again, and a client without EVALSHA tells it each time', async () => {
      const { client, through, seen } = watched()
      const store = storeOf(through)
      await fenceOf(store, 'a')
      await client.script('FLUSH')
      seen.calls.length = 0
      await fenceOf(store, 'b')
      await fenceOf(store, 'c')
      expect(seen.calls).toEqual(['evalsha', 'eval', 'evalsha'])
      const plain = storeOf({ eval: (...args) => client.eval(...args) })
      await plain.complete('a', await fenceOf(plain, 'a'))
      expect(await plain.claim('a', 1000)).toEqual({ status: 'duplicate' })
    })

    test('redis store: a claim whose answer was lost is had by the next try, not waited for', async () => {
      const { client, through, seen } = watched()
      const prefix = `${randomUUID()}:`
      const store = redisStore(through, { prefix })
      const other = redisStore(client, { prefix })
      seen.loseAnswers = true
      await expect(store.claim('a', 60_000)).rejects.toEqual(unavailable)
      seen.loseAnswers = false
      expect(await other.claim('a', 60_000)).toEqual({ status: 'busy' })
      const fence = await fenceOf(store, 'a')
      // Whoever else wants it now, in this process too, is told the truth.
      expect(await store.claim('a', 60_000)).toEqual({ status: 'busy' })
      expect(await store.complete('a', fence)).toBe(true)
    })

    test('redis store: of claims of one key that were out together, all without an answer, the next try has the key', async () => {
      const { through, seen } = watched()
      const store = storeOf(through)
      const claims = () => Promise.allSettled(Array.from({ length: 3 }, () => store.claim('a', 60_000)))
      seen.loseAnswers = true
      // The second time each of them is a try of one of the first.
      for (let round = 1; round <= 2; round++)
        for (const claim of await claims()) expect(claim).toMatchObject({ status: 'rejected', reason: unavailable })
      seen.loseAnswers = false
      const [first, ...others] = await claims()
      expect(first).toMatchObject({ value: { status: 'claimed' } })
      for (const other of others) expect(other).toMatchObject({ value: { status: 'busy' } })
      // What has its answer is nobody else's.
      expect(await store.claim('a', 60_000)).toEqual({ status: 'busy' })
    })

    test('redis store: a claim that was answered is not taken over by one that was out with it', async () => {
      const { through, seen } = watched()
      const store = storeOf(through)
      seen.loseAnswers = true
      await Promise.allSettled([store.claim('a', 60_000), store.claim('a', 60_000)])
      seen.loseAnswers = false
      const [first, second] = await Promise.all([store.claim('a', 60_000), store.claim('a', 60_000)])
      expect(second).toEqual({ status: 'busy' })
      expect(await store.claim('a', 60_000)).toEqual({ status: 'busy' })
      expect(first.status === 'claimed' && (await store.complete('a', first.fence))).toBe(true)
      expect(await store.claim('a', 60_000)).toEqual({ status: 'duplicate' })
    })

    test('redis store: a claim that comes late, after its next try, takes nothing from that', async () => {
      const { client, through, seen } = watched()
      const prefix = `${randomUUID()}:`
      const commands: (string | number)[][] = []
      const evalsha = through.evalsha as NonNullable<RedisClient['evalsha']>
      through.evalsha = (...args) => {
        commands.push(args)
        return evalsha(...args)
      }
      const store = redisStore(through, { prefix })
      seen.loseAnswers = true
      await expect(store.claim('a', 60_000)).rejects.toEqual(unavailable)
      seen.loseAnswers = false
      const fence = await fenceOf(store, 'a')
      const [late = []] = commands
      expect(await client.evalsha(...(late as [string, number]))).toEqual([2])
      expect(await store.renew('a', fence, 60_000)).toBe(true)
    })

    test('redis store: a claim that could not be given back is had by the next try', async () => {
      const { through, seen } = watched()
      const store = storeOf({
        ...through,
        evalsha: (sha, ...args) =>
          seen.loseAnswers
            ? Promise.reject(new Error('Connection is closed.'))
            : (through.evalsha?.(sha, ...args) as Promise<unknown>),
      })
      const fence = await fenceOf(store, 'a')
      seen.loseAnswers = true
      await expect(store.release('a', fence)).rejects.toEqual(unavailable)
      seen.loseAnswers = false
      const next = await fenceOf(store, 'a')
      expect(next).not.toBe(fence)
      expect(await store.complete('a', fence)).toBe(false)
      expect(await store.complete('a', next)).toBe(true)
    })

    test('redis store: a server that lost its data gives no fence out twice', async () => {
      const { client, through } = watched()
      const store = storeOf(through)
      const before = await fenceOf(store, 'a')
      await client.flushall()
      const fence = await fenceOf(store, 'a')
      expect(fence).not.toBe(before)
      expect(await store.complete('a', before)).toBe(false)
      expect(await store.complete('a', fence)).toBe(true)
    })

    test('redis store: what is forgotten while it runs stays busy, and its completion is not recorded', async () => {
      const store = storeOf(connect())
      await store.complete('orders:g:1', await fenceOf(store, 'orders:g:1'))
      const running = await fenceOf(store, 'orders:g:2')
      await store.forget('orders:g:')
      expect((await store.claim('orders:g:1', 1000)).status).toBe('claimed')
      expect(await store.claim('orders:g:2', 1000)).toEqual({ status: 'busy' })
      expect(await store.renew('orders:g:2', running, 60_000)).toBe(true)
      expect(await store.complete('orders:g:2', running)).toBe(true)
      expect((await store.claim('orders:g:2', 1000)).status).toBe('claimed')
    })

    test("redis store: forget finds its keys among many others, and behind a client's own prefix", async () => {
      const plain = connect()
      const client = connect({ keyPrefix: 'app:' })
      const store = storeOf(client, { prefix: 'done:' })
      const fill = `for i = 1, 5000 do redis.call('SET', 'other:' .. i, 'd') end`
      await plain.eval(fill, 0)
      const keys = Array.from({ length: 300 }, (_, index) => `orders:g:${index}`)
      await Promise.all(keys.map(async (key) => store.complete(key, await fenceOf(store, key))))
      expect(await plain.get('app:done:orders:g:7')).toBe('d')
      await store.forget('orders:g:')
      expect(await plain.keys('app:done:*')).toEqual([])
      expect((await plain.keys('other:*')).length).toBe(5000)
      await plain.flushall()
    })

    test('redis store: a claim outlives its lease by the time to remember, and a completed key lives for that', async () => {
      const client = connect()
      const store = redisStore(client, { prefix: 'ttl:', ttl: '1h' })
      const fence = await fenceOf(store, 'a', 10_000)
      expect(await client.pttl('ttl:a')).toBeGreaterThan(3_600_000)
      await store.complete('a', fence)
      const left = await client.pttl('ttl:a')
      expect(left).toBeLessThanOrEqual(3_600_000)
      expect(left).toBeGreaterThan(3_500_000)
    })

    test('redis store: a full server takes no new claims, and lets running ones be renewed, completed and given back', async () => {
      const client = connect()
      const store = storeOf(client)
      const fences = await Promise.all(['a', 'b', 'c'].map((key) => fenceOf(store, key)))
      await client.config('SET', 'maxmemory', '1')
      try {
        await expect(store.claim('d', 1000)).rejects.toEqual(unavailable)
        expect(await store.renew('a', fences[0], 60_000)).toBe(true)
        expect(await store.complete('a', fences[0])).toBe(true)
        await store.release('b', fences[1])
        expect(await store.claim('a', 1000)).toEqual({ status: 'duplicate' })
      } finally {
        await client.config('SET', 'maxmemory', '0')
      }
      expect((await store.claim('b', 1000)).status).toBe('claimed')
      expect(await store.complete('c', fences[2])).toBe(true)
    })

    test('redis store: a server that became a replica is no store', async () => {
      const client = connect()
      const store = storeOf(client)
      const fence = await fenceOf(store, 'a')
      await client.replicaof('127.0.0.1', 1)
      try {
        await expect(store.claim('b', 1000)).rejects.toEqual(unavailable)
        await expect(store.complete('a', fence)).rejects.toEqual(unavailable)
      } finally {
        await client.replicaof('NO', 'ONE')
      }
      expect(await store.complete('a', fence)).toBe(true)
    })

    test('redis store: a client that waits to be online is given nothing more, and each call ends within its time', async () => {
      const { client, through, seen } = watched()
      const store = storeOf(through, { timeout: '200ms' })
      const fence = await fenceOf(store, 'a')
      await broker().stop()
      seen.calls.length = 0
      try {
        const first = await Promise.allSettled([store.complete('a', fence), store.claim('b', 60_000)])
        expect(first.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
        for (let round = 0; round < 50; round++)
          await expect(store.claim(`k${round}`, 60_000)).rejects.toEqual(unavailable)
        // The client keeps what it was given, and would keep the others too.
        expect(seen.calls).toEqual(['evalsha'])
      } finally {
        await broker().start()
      }
      await vi.waitUntil(
        () =>
          store.complete('a', fence).then(
            () => true,
            () => false,
          ),
        10_000,
      )
      expect(await store.claim('a', 1000)).toEqual({ status: 'duplicate' })
      expect((await store.claim('b', 60_000)).status).toBe('claimed')
      expect(client.status).toBe('ready')
    })

    test('redis store: errors say what the server said, and show neither command nor password', async () => {
      await connect().call('ACL', 'SETUSER', 'guest', 'reset', 'on', '>s3cret-word', '~*', '+ping', '+info')
      const store = storeOf(connect({ username: 'guest', password: 's3cret-word' }))
      const error: unknown = await store.claim('customer-7', 1000).catch((thrown: unknown) => thrown)
      expect(PolybusError.is(error, 'STORE_UNAVAILABLE')).toBe(true)
      expect((error as Error).message).toMatch(/Redis.*no permissions/)
      expect(inspect(error, { depth: 9 })).not.toMatch(/s3cret|customer-7/)
    })
  },
  { instance: 'store-redis-own' },
)

const client: RedisClient = { eval: () => Promise.resolve([0]) }
test.each([
  [{ prefix: '' }, 'redisStore().prefix'],
  [{ prefix: 5 }, 'redisStore().prefix'],
  [{ ttl: 'soon' }, 'redisStore().ttl'],
  [{ timeout: '0s' }, 'redisStore().timeout'],
  [{ clock: {} }, 'redisStore().clock'],
  [{ tll: '1h' }, 'redisStore().tll'],
])('redis store: %j is refused, and the field is named', (options, field) => {
  expect(() => redisStore(client, options as never)).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining(field) }),
  )
})
test.each([undefined, {}, { eval: 'text' }])('redis store: %j is no client', (wrong) => {
  expect(() => redisStore(wrong as never)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
})
