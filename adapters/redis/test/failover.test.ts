// A master, a replica and three sentinels: the master dies, or only says nothing more, and the replica takes its place.
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { describeSentinels, type RedisServer, type Sentinels } from '@polybus/brokers'
import { type Bus, channel, consumer, createBus, PolybusError, trust } from '@polybus/core'
import { expect, onTestFinished, test, vi } from 'vitest'
import { redis, type RedisOptions } from '../src/index.ts'
import { clock, until } from './support.ts'

vi.setConfig({ testTimeout: 120_000 })

let count = 0
const orders = (name: string, keyed: boolean) =>
  channel(name, {
    schema: trust<{ n: number }>(),
    groups: ['work'],
    ...(keyed && { partitions: 4, key: ({ n }: { n: number }) => `k${n % 7}` }),
  })
const behind = ({ sentinels, name }: Sentinels, options: Partial<RedisOptions> = {}): RedisOptions => ({
  connection: { sentinels: [...sentinels], name },
  leaseMs: 2000,
  laneLeaseMs: 2000,
  commandTimeoutMs: 2000,
  ...options,
})

/** A bus that consumes both kinds of channels. */
async function start(options: RedisOptions) {
  const adapter = redis(options)
  const bus = await createBus(adapter, { namespace: `failover-${++count}`, logger: false, grace: '1s' })
  onTestFinished(() => bus.close())
  const done = { plain: new Set<number>(), keyed: new Set<number>() }
  const channels = { plain: orders('plain', false), keyed: orders('keyed', true) }
  for (const kind of ['plain', 'keyed'] as const)
    await bus.start(consumer(channels[kind], 'work', { handler: ({ n }) => void done[kind].add(n) }))
  const publish = (from: number, to: number): Promise<PromiseSettledResult<unknown>[]> =>
    Promise.allSettled(
      Array.from({ length: to - from }, (_, index) => index + from).flatMap((n) => [
        bus.publish(channels.plain, { n }),
        bus.publish(channels.keyed, { n }),
      ]),
    )
  const handled = (from: number, to: number): Promise<void> => {
    const missing = (): readonly string[] =>
      (['plain', 'keyed'] as const).flatMap((kind) =>
        Array.from({ length: to - from }, (_, index) => index + from)
          .filter((n) => !done[kind].has(n))
          .map((n) => `${kind} ${n}`),
      )
    return until(
      () => missing().length === 0,
      () => `all to be handled; missing: ${missing().slice(0, 10).join(', ')}`,
      30_000,
    )
  }
  return { adapter, bus, publish, handled }
}
const confirmed = (results: readonly PromiseSettledResult<unknown>[]): boolean =>
  results.every(({ status }) => status === 'fulfilled')
const reasons = (bus: Bus): string => bus.health().reasons.join('\n')

await describeSentinels(
  (sentinels) => {
    /** Each test leaves the roles as it found them. */
    const backToFirst = async (): Promise<void> => {
      await sentinels().following('server')
      await sentinels().kill('replica')
      await sentinels().promoted('server')
      await sentinels().start('replica')
      await sentinels().following('replica')
    }

    for (const [how, fail, mend] of [
      ['was killed', (server) => sentinels().kill(server), (server) => sentinels().start(server)],
      ['says nothing more', async (server) => sentinels().pause(server), async (server) => sentinels().resume(server)],
    ] satisfies readonly [string, Act, Act][])
      test(`redis: a master that ${how} is left for the replica, with all that it confirmed and replicated`, async () => {
        const { adapter, publish, handled } = await start(behind(sentinels()))
        const before = await publish(0, 100)
        expect(confirmed(before)).toBe(true)
        expect(await adapter.client?.wait(1, 10_000)).toBe(1)

        const during = publish(100, 150)
        await fail('server')
        await sentinels().promoted('replica')
        expect((await during).length).toBe(100)
        expect(confirmed(await publish(150, 250))).toBe(true)
        await handled(0, 100)
        await handled(150, 250)

        await mend('server')
        await backToFirst()
        // And back again: the one that was dead is the master once more.
        expect(confirmed(await publish(250, 300))).toBe(true)
        await handled(250, 300)
      })

    test('redis: what a failover can lose is a hazard, until a write needs a replica', async () => {
      const { bus } = await start(behind(sentinels()))
      expect(reasons(bus)).toContain('Redis confirms before a replica has it')
      const { adapter } = await start(behind(sentinels()))
      await adapter.client?.config('SET', 'min-replicas-to-write', '1')
      onTestFinished(async () => void (await adapter.client?.config('SET', 'min-replicas-to-write', '0')))
      const mended = await start(behind(sentinels()))
      expect(reasons(mended.bus)).not.toContain('replica')
    })

    test('redis: a first sentinel that says nothing does not hide the others', async () => {
      const port = await server()
      const given = behind(sentinels())
      const { publish, handled } = await start({
        ...given,
        connection: { ...given.connection, sentinels: [{ host: '127.0.0.1', port }, ...sentinels().sentinels] },
      })
      expect(confirmed(await publish(0, 5))).toBe(true)
      await handled(0, 5)
    })

    test('redis: a name that no sentinel knows is refused at once, with what to check', async () => {
      const error = await refusal({ ...behind(sentinels()).connection, name: 'nobody' })
      expect([error.code, error.retryable]).toEqual(['CONNECTION_FAILED', false])
      expect(error.message).toContain('name and sentinels of redis().connection')
    })
  },
  { instance: 'failover' },
)

type Act = (server: RedisServer) => Promise<void>

/** A server that takes connections, and what it says to whatever it hears: without a word, nothing. */
async function server(word?: string): Promise<number> {
  const made = createServer((socket) => {
    socket.on('error', () => {})
    if (word !== undefined) socket.on('data', () => socket.write(word))
    onTestFinished(() => void socket.destroy())
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void made.close())
  await once(made, 'listening')
  return (made.address() as AddressInfo).port
}

async function refusal(connection: RedisOptions['connection']): Promise<PolybusError> {
  const adapter = redis({ connection, commandTimeoutMs: 1000 })
  onTestFinished(() => adapter.close())
  try {
    await adapter.connect({
      signal: new AbortController().signal,
      namespace: undefined,
      service: 'test',
      topology: 'create',
    })
  } catch (error) {
    if (PolybusError.is(error)) return error
    throw error
  }
  throw new Error('it did not fail')
}

test('redis: sentinels that refuse the password, and sentinels that say nothing, are told in time', async () => {
  const at = async (word?: string) => ({
    sentinels: [{ host: '127.0.0.1', port: await server(word) }],
    name: 'm',
    sentinelPassword: 's3cret',
  })
  const refused = await refusal(await at('-WRONGPASS invalid username-password pair or user is disabled.\r\n'))
  expect([refused.code, refused.retryable]).toEqual(['AUTHENTICATION_FAILED', false])
  expect(refused.message).toContain('sentinelPassword of redis().connection')
  expect(refused.message).not.toContain('s3cret')
  const startedAt = clock.now()
  const mute = await refusal(await at())
  expect([mute.code, mute.retryable, mute.sent]).toEqual(['CONNECTION_FAILED', true, 'no'])
  expect(clock.now() - startedAt).toBeLessThan(10_000)
})
