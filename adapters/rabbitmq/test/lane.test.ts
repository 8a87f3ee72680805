import { EventEmitter } from 'node:events'
import type { ConsumeMessage } from 'amqplib'
import { systemClock } from '@polybus/core'
import { expect, test } from 'vitest'
import type { Link } from '../src/connection.ts'
import { type Lane, openLane } from '../src/lane.ts'

/** A lane on a channel that notes its prefetches, and brings messages to its only consumer. */
async function laneOf(shared: boolean): Promise<{
  readonly lane: Lane
  readonly prefetches: number[]
  readonly consumers: Map<string, (message: ConsumeMessage) => void>
  /** Delivery tags of what was given back. */
  readonly returned: number[]
  readonly time: { ms: number }
  /** So many, of so many bytes each. */
  readonly bring: (count: number, bytes: number) => Promise<void>
}> {
  const prefetches: number[] = []
  const returned: number[] = []
  const time = { ms: 1000 }
  const consumers = new Map<string, (message: ConsumeMessage) => void>()
  let tags = 0
  let delivered = 0
  const channel = Object.assign(new EventEmitter(), {
    prefetch: async (count: number) => void prefetches.push(count),
    async consume(_queue: string, arrived: (message: ConsumeMessage) => void) {
      const consumerTag = `c${++tags}`
      consumers.set(consumerTag, arrived)
      return { consumerTag }
    },
    cancel: async (tag: string) => void consumers.delete(tag),
    nack: ({ fields }: ConsumeMessage) => void returned.push(fields.deliveryTag),
  })
  const link = {
    dead: undefined,
    channel: async () => channel,
    ask: (work: () => Promise<unknown>) => work(),
  } as unknown as Link
  const lane = await openLane({
    link,
    clock: { ...systemClock(), now: () => time.ms },
    shared,
    id: 0,
    queue: 'q',
    prefetch: 4,
    widest: 16,
    maxBytes: 16_000,
    durable: false,
    wake: () => {},
    onClosed: () => {},
  })
  const bring = async (count: number, bytes: number): Promise<void> => {
    for (let n = 0; n < count; n++) {
      const [arrived] = [...consumers.values()].slice(-1)
      const fields = { deliveryTag: ++delivered, redelivered: false }
      arrived?.({ fields, properties: {}, content: Buffer.alloc(bytes) } as unknown as ConsumeMessage)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return { lane, prefetches, consumers, returned, time, bring }
}

test('rabbitmq: small messages are fetched further ahead; what then finds no room goes back when fewer are fetched', async () => {
  const { lane, prefetches, consumers, returned, bring } = await laneOf(true)
  await bring(1, 100)
  expect(prefetches).toEqual([1, 4])
  await bring(7, 100)
  expect(prefetches).toEqual([1, 4])
  await bring(1, 100)
  expect(prefetches).toEqual([1, 4, 8])
  await bring(16, 100)
  expect({ prefetches, now: lane.prefetch }).toEqual({ prefetches: [1, 4, 8, 16], now: 16 })
  // With 200 bytes each for what a message costs beside its body.
  await bring(8, 800)
  expect({ prefetches, bytes: lane.bytes, kept: lane.buffer.length }).toEqual({
    prefetches: [1, 4, 8, 16],
    bytes: 25 * 300 + 8000,
    kept: 33,
  })
  // The second one is on its way already.
  void bring(1, 800)
  await bring(1, 800)
  expect({ prefetches, now: lane.prefetch, returned, kept: lane.buffer.length }).toEqual({
    prefetches: [1, 4, 8, 16, 4],
    now: 4,
    returned: [34, 35],
    kept: 33,
  })
  // What comes of the few is kept in any case: so many fit at their largest.
  await bring(1, 800)
  expect({ returned, kept: lane.buffer.length }).toEqual({ returned: [34, 35], kept: 34 })
  lane.buffer.length = lane.bytes = 0
  await bring(8, 100)
  expect(prefetches).toEqual([1, 4, 8, 16, 4, 8])
  expect(consumers.size).toBe(1)
})

test('rabbitmq: what slow handlers would only hoard stays with the broker', async () => {
  const { lane, prefetches, time, bring } = await laneOf(true)
  const handled = async (count: number): Promise<void> => {
    await bring(count, 100)
    lane.buffer.length = lane.bytes = 0
  }
  await handled(25)
  expect(lane.prefetch).toBe(16)
  time.ms += 401
  await handled(31)
  expect(lane.prefetch).toBe(16)
  await handled(1)
  expect(lane.prefetch).toBe(8)
  time.ms += 401
  await handled(16)
  expect(lane.prefetch).toBe(4)
  // Neither quick nor slow.
  time.ms += 200
  await handled(8)
  time.ms += 401
  await handled(8)
  expect(prefetches).toEqual([1, 4, 8, 16, 8, 4])
})

test('rabbitmq: no more than fits twice is fetched ahead, and where messages are large nothing changes', async () => {
  const middle = await laneOf(true)
  await middle.bring(9, 800)
  expect(middle.prefetches).toEqual([1, 4, 8])
  const large = await laneOf(true)
  await large.bring(30, 2000)
  expect(large.prefetches).toEqual([1, 4])
})

test('rabbitmq: where order is promised the first consumer stays the only one', async () => {
  const { prefetches, bring } = await laneOf(false)
  await bring(30, 100)
  expect(prefetches).toEqual([4])
})
