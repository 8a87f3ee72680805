// A channel whose topic keeps the last message of each key.
import { describeBroker } from '@polybus/brokers'
import { channel, createBus, trust } from '@polybus/core'
import { expect, test, vi } from 'vitest'
import { client } from './client-support.ts'
import { bench, call, create, send, spec, subscribe, until, wire } from './support.ts'

vi.setConfig({ testTimeout: 60_000 })

/** Compacted as soon as the cleaner looks, which it does every second here. */
const EAGER = {
  'cleanup.policy': 'compact',
  'segment.ms': '100',
  'min.cleanable.dirty.ratio': '0.01',
  'min.compaction.lag.ms': '0',
  'delete.retention.ms': '0',
}

await describeBroker(
  'kafka',
  (broker) => {
    test('kafka: a compacted channel brings the last of each key, tombstones take keys away, and its lag ends at 0 over the gaps', async () => {
      const { connect, namespace, admin } = bench(broker())
      const adapter = await connect({ acceptedHazards: [], channels: { orders: { partitions: 1, config: EAGER } } })
      const orders = spec('orders', { keyed: true })
      await create(adapter, orders)
      const put = (id: string, key: string, body: string | null): Promise<unknown> =>
        send(adapter, orders, wire({ id, key, body: body === null ? null : Buffer.from(body) }))
      for (let n = 0; n < 20; n++) await put(`a-${n}`, 'a', String(n))
      await put('b-0', 'b', 'gone')
      await put('b-1', 'b', null)
      await put('c-0', 'c', 'stays')
      const topic = `${namespace}.orders`
      const position = (await (await admin()).fetchTopicOffsets(topic))[0]
      expect(position).toMatchObject({ low: '0', high: '23' })
      // What is not in the last segment can be compacted: another message begins a new one.
      let n = 0
      const reader = async (): Promise<string[]> => {
        await put(`d-${n++}`, 'd', 'last')
        const at = await connect()
        const member = await subscribe(at, { ...orders, groups: [] }, { group: `look-${n}`, maxInFlight: 1000 })
        const found: string[] = []
        for (let some = await member.take(50, 500); some.length > 0; some = await member.take(50, 300)) {
          found.push(
            ...some.map(({ message }) => `${message.id}=${message.body === null ? 'null' : String(message.body)}`),
          )
          await member.ack(...some)
        }
        await member.feed.close()
        await at.close()
        return found
      }
      let seen: string[] = []
      await until(
        async () => {
          seen = (await reader()).filter((each) => !each.startsWith('d-'))
          return seen.join() === 'a-19=19,c-0=stays' || seen.join() === 'a-19=19,b-1=null,c-0=stays'
        },
        'compaction',
        40_000,
      )
      const member = await subscribe(adapter, orders, { maxInFlight: 1000 })
      await member.ack(...(await member.take(50, 2000)))
      await until(
        async () => (await adapter.stats?.read(orders, 'work', call))?.backlog === 0,
        'a backlog of 0 over the gaps',
      )
      await member.feed.close()
      expect((await adapter.hazards?.(orders, call))?.map(({ kind }) => kind)).not.toContain('compaction')
    })

    test('kafka: null that is published is a tombstone', async () => {
      const { open, namespace } = bench(broker())
      const state = channel('state', {
        schema: trust<{ n: number } | null>(),
        key: () => undefined,
        partitions: 1,
        groups: ['work'],
      })
      const bus = await createBus(open(), { namespace, logger: false })
      const got: unknown[] = []
      await bus.subscribe(state, 'work', (value, { message }) => void got.push([message.key, value]))
      await bus.publish(state, { n: 1 }, { key: 'a' })
      await bus.publish(state, null, { key: 'a' })
      await until(() => got.length === 2, 'both')
      expect(got).toEqual([
        ['a', { n: 1 }],
        ['a', null],
      ])
      const { records } = await client(broker()).read(
        { topic: `${namespace}.state`, partition: 0, offset: 0n },
        1000,
        call,
      )
      expect(records.map(({ value }) => value && String(value))).toEqual(['{"n":1}', null])
      await bus.close()
    })

    test('kafka: a message without a key is refused by a compacted channel, at once and for good', async () => {
      const { connect } = bench(broker())
      const adapter = await connect({ channels: { orders: { config: EAGER } } })
      await create(adapter, spec('orders'))
      const results = await adapter.send(
        [wire({ key: 'a' }), wire(), wire({ key: 'b' })].map((message) => ({
          handover: 0,
          message,
          to: { kind: 'channel', channel: 'orders' },
        })),
        call,
      )
      expect(results.map((result) => (result.ok ? 'ok' : `${result.error.code} ${result.error.retryable}`))).toEqual([
        'ok',
        'BROKER_REFUSED false',
        'ok',
      ])
    })
  },
  { instance: 'tests' },
)
