// Servers and users that will not do, told within seconds and without the secret.
import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { inspect } from 'node:util'
import { describeBroker } from '@polybus/brokers'
import { channel, consumer, createBus, PolybusError, trust } from '@polybus/core'
import { expect, onTestFinished, test, vi } from 'vitest'
import { redis } from '../src/index.ts'
import { PERMISSIONS } from './permissions.ts'
import { bench, call, clock, create, send, spec, subscribe, until, wire } from './support.ts'

vi.setConfig({ testTimeout: 30_000 })

/** Answers INFO with these lines, and everything else with OK. */
async function fakeServer(...lines: readonly string[]): Promise<number> {
  const info = ['# Server', 'redis_version:7.2.0', ...lines, ''].join('\r\n')
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      const answer = /\r\ninfo\r\n/i.test(bytes.toString()) ? `$${info.length}\r\n${info}\r\n` : '+OK\r\n'
      for (const _ of bytes.toString().matchAll(/^\*/gm)) socket.write(answer)
    })
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function refusal(url: string): Promise<PolybusError> {
  const adapter = redis(url)
  onTestFinished(() => adapter.close())
  const start = clock.now()
  const error: unknown = await adapter
    .connect({ ...call, namespace: undefined, service: 's', topology: 'create' })
    .then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
  expect(clock.now() - start, 'told soon').toBeLessThan(10_000)
  if (!PolybusError.is(error)) throw new Error(`not one of ours: ${inspect(error)}`)
  return error
}

test.each([
  ['a member of a cluster', 'cluster_enabled:1', 'UNSUPPORTED', false],
  ['a replica', 'role:slave', 'CONNECTION_FAILED', true],
  ['a server that loads its data', 'loading:1', 'CONNECTION_FAILED', true],
] as const)('redis: %s is refused at once', async (_, line, code, retryable) => {
  const error = await refusal(`redis://user:s3cret@127.0.0.1:${await fakeServer(line)}`)
  expect([error.code, error.retryable]).toEqual([code, retryable])
  expect(inspect(error, { depth: 10 })).not.toContain('s3cret')
})

test('redis: the documented permissions are those that the suite runs with', () => {
  const docs = readFileSync(new URL('../../../docs/brokers/redis.md', import.meta.url), 'utf8')
  const [rule = ''] = /ACL SETUSER app[^`]*/.exec(docs) ?? []
  expect(rule.split(/\s+/).filter((word) => word.startsWith('+'))).toEqual(PERMISSIONS)
})

await describeBroker(
  'redis',
  (broker) => {
    const address = (): string => `127.0.0.1:${broker().port}`

    test('redis: wrong credentials are told without them', async () => {
      const { client } = bench(broker())
      await client.call('ACL', 'SETUSER', 'real', 'reset', 'on', '>right', '~*', '+@all')
      for (const userinfo of ['real:wr0ng-s3cret', 'nobody:wr0ng-s3cret']) {
        const error = await refusal(`redis://${userinfo}@${address()}`)
        expect([userinfo, error.code, error.retryable]).toEqual([userinfo, 'AUTHENTICATION_FAILED', false])
        expect(inspect(error, { depth: 10, showHidden: true })).not.toContain('wr0ng-s3cret')
        expect(JSON.stringify([error, error.cause])).not.toContain('wr0ng-s3cret')
      }
    })

    test.each(['xadd', 'xreadgroup', 'xack', 'evalsha', 'xinfo', 'hmget'])(
      'redis: a user without %s is told so, and reads what he may do about it',
      async (missing) => {
        const { client, connect, namespace } = bench(broker())
        const owner = await connect()
        await create(owner, spec('orders'))
        await send(owner, 'orders', wire())
        const rules = PERMISSIONS.filter((rule) => rule !== `+${missing}`)
        await client.call(
          'ACL',
          'SETUSER',
          namespace,
          'reset',
          'on',
          '>pw',
          `~${namespace}:*`,
          `~{${namespace}:*`,
          ...rules,
        )
        onTestFinished(async () => void (await client.call('ACL', 'DELUSER', namespace)))
        const adapter = await connect({ url: `redis://${namespace}:pw@${address()}` })
        const work = async (): Promise<void> => {
          await send(adapter, 'orders', wire())
          const member = await subscribe(adapter, spec('orders'))
          await member.ack(...(await member.take(1, 1500)))
        }
        const error: unknown = await work().then(
          () => undefined,
          (thrown: unknown) => thrown,
        )
        expect(error, inspect(error)).toMatchObject({ code: 'ACCESS_DENIED', retryable: false })
        expect(String(error)).toContain('docs/brokers/redis.md')
      },
    )

    test('redis: scripts flushed again and again under load cost nothing', async () => {
      const { open, namespace, client } = bench(broker())
      const bus = await createBus(open(), { namespace, logger: false })
      onTestFinished(() => bus.close().catch(() => undefined))
      const orders = channel('orders', {
        schema: trust<{ n: number }>(),
        groups: ['work'],
        key: ({ n }) => `k${n % 7}`,
        partitions: 4,
      })
      const seen: number[] = []
      const failed = new Set<number>()
      const work = consumer(orders, 'work', {
        handler({ n }) {
          if (n % 50 === 0 && !failed.has(n)) {
            failed.add(n)
            throw new Error('the first time')
          }
          seen.push(n)
        },
      })
      await bus.start(work)
      let flushing = true
      const flushed = (async () => {
        while (flushing) {
          await client.script('FLUSH')
          await new Promise((resolve) => clock.timer(20, () => resolve(undefined)))
        }
      })()
      for (let n = 0; n < 1000; n += 100)
        await Promise.all(Array.from({ length: 100 }, (_, more) => bus.publish(orders, { n: n + more })))
      await until(
        () => new Set(seen).size === 1000,
        () => `all of 1,000: ${new Set(seen).size}`,
        20_000,
      )
      flushing = false
      await flushed
      expect(seen).toHaveLength(1000)
      for (let key = 0; key < 7; key++) {
        const own = seen.filter((n) => n % 7 === key)
        expect(own).toEqual(own.toSorted((a, b) => a - b))
      }
    })
  },
  { instance: 'redis-refused' },
)
