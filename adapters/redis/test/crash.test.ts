// The server dies and comes back with what its log holds.
import { describeBroker } from '@polybus/brokers'
import { expect, test, vi } from 'vitest'
import { bench, call, create, numbered, send, spec, subscribe, until } from './support.ts'

// Tidying comes every five seconds.
vi.setConfig({ testTimeout: 45_000 })

await describeBroker(
  'redis',
  (broker) => {
    test('redis: a server that was killed miscounts what groups have read, and stats do not', async () => {
      const first = bench(broker())
      const { namespace } = first
      const adapter = await first.connect()
      await create(adapter, spec('orders'))
      const member = await subscribe(adapter, spec('orders'))
      for (let n = 0; n < 2; n++) {
        await send(adapter, 'orders', ...numbered(50))
        await member.ack(...(await member.take(50)))
        if (n > 0) break
        // What is read after this is forgotten.
        await first.client.bgrewriteaof()
        const info = (): Promise<string> => first.client.info('persistence')
        await until(async () => (await info()).includes('aof_rewrite_in_progress:0'), 'the log to be rewritten')
      }
      await broker().kill()
      await broker().start()

      const { client } = bench(broker())
      await adapter.connect({ ...call, namespace, service: 'test', topology: 'create' })
      const read = (): Promise<unknown> => adapter.stats?.read(spec('orders'), 'work', call) ?? Promise.resolve()
      expect(await read()).toMatchObject({ backlog: 0, inFlight: 0 })
      const lag = async (): Promise<unknown> => {
        const [flat = []] = (await client.xinfo('GROUPS', `${namespace}:orders`)) as unknown[][]
        // Redis 6.2 has none.
        return flat.includes('lag') ? flat[flat.indexOf('lag') + 1] : 0
      }
      await subscribe(adapter, spec('orders'))
      await until(
        async () => (await lag()) === 0,
        async () => `the lag to be right, not ${String(await lag())}`,
        15_000,
      )
      await send(adapter, 'orders', ...numbered(3))
      expect(await read()).toMatchObject({ backlog: 3, inFlight: 0 })
    })
  },
  { instance: 'redis-crash' },
)
