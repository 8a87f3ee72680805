// A server at its maxmemory: nothing new goes in, and everything that makes room goes on.
import { describeBroker } from '@polybus/brokers'
import { PolybusError } from '@polybus/core'
import type { Redis } from 'ioredis'
import { expect, onTestFinished, test, vi } from 'vitest'
import { bench, call, create, ids, numbered, send, spec, subscribe, until, wire } from './support.ts'

// Tidying comes every five seconds.
vi.setConfig({ testTimeout: 45_000 })

async function fill(client: Redis, bytes = 1_000_000): Promise<void> {
  onTestFinished(async () => void (await client.config('SET', 'maxmemory', '0').catch(() => undefined)))
  await client.config('SET', 'maxmemory', String(bytes))
}

await describeBroker(
  'redis',
  (broker) => {
    test.each([false, true])(
      'redis: a full server is consumed by members old and new, also what is due (keyed: %s)',
      async (keyed) => {
        const { connect, client } = bench(broker())
        const orders = spec('orders', { keyed, partitions: keyed ? 2 : undefined })
        const [adapter, late] = [await connect({ leaseMs: 20_000 }), await connect({ leaseMs: 20_000 })]
        await create(adapter, orders)
        const to = { kind: 'group', channel: 'orders', group: 'work', delayMs: 1500 } as const
        const delayed = wire({ id: 'delayed', key: 'k' })
        expect((await adapter.send([{ handover: 0, message: delayed, to }], call))[0]?.ok).toBe(true)
        await send(adapter, 'orders', ...numbered(20, { key: 'k' }))
        const member = await subscribe(adapter, orders)
        await fill(client)
        await expect(send(adapter, 'orders', wire({ key: 'k' }))).rejects.toMatchObject({ code: 'BROKER_BUSY' })

        const got = await member.take(21, 10_000)
        expect(new Set(ids(got))).toEqual(new Set([...numbered(20).map(({ id }) => id), 'delayed']))
        await member.ack(...got.slice(0, 10))
        // It stops, and another one begins, while the server is full.
        await member.feed.close()
        const next = await subscribe(late, orders)
        expect(await next.take(11, 10_000)).toHaveLength(11)
      },
    )

    test('redis: a full server makes room by trimming, so that it takes messages again', async () => {
      const { connect, client, namespace } = bench(broker())
      const adapter = await connect({ retentionMs: 0 })
      await create(adapter, spec('orders'))
      const body = Buffer.alloc(1000, 'x')
      await send(adapter, 'orders', ...numbered(1000, { body }))
      await send(adapter, 'orders', ...numbered(1000, { body }))
      const member = await subscribe(adapter, spec('orders'))
      const used = Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1])
      await fill(client, used - 1_000_000)
      await expect(send(adapter, 'orders', wire())).rejects.toMatchObject({ code: 'BROKER_BUSY' })
      for (let n = 0; n < 2; n++) await member.ack(...(await member.take(1000)))
      await until(
        () => send(adapter, 'orders', wire({ id: 'after' })).then(() => true, isBusy),
        'a message to be taken again',
        20_000,
      )
      expect(await client.xlen(`${namespace}:orders`)).toBeLessThan(500)
      expect(ids(await member.take(1))).toEqual(['after'])
    })
  },
  { instance: 'redis-full' },
)

function isBusy(error: unknown): false {
  if (PolybusError.is(error, 'BROKER_BUSY')) return false
  throw error
}
