// Batches that are larger than what a queue gives out at one time.
import { randomUUID } from 'node:crypto'
import { describeBroker } from '@polybus/brokers'
import { channel, createBus, trust } from '@polybus/core'
import { expect, onTestFinished, test } from 'vitest'
import { rabbitmq } from '../src/index.ts'
import { bench, create, send, spec, subscribe, wire } from './support.ts'

await describeBroker('rabbitmq', (broker) => {
  test('rabbitmq: a batch begins when the prefetch is used up: more could not come, however long it waited', async () => {
    const namespace = `b${randomUUID().slice(0, 8)}`
    const bus = await createBus(rabbitmq({ url: broker().url }), { namespace, logger: false })
    onTestFinished(() => bus.close())
    // Of 4 MiB each eight fit into the 32 MiB that a consumer may hold, and of 3 MiB not many more.
    const flow = channel('flow', { schema: trust<string>(), groups: ['work'], maxBytes: 4 * 2 ** 20 })
    const sizes: number[] = []
    await bus.subscribe(flow, 'work', {
      batch: { max: 250, wait: '10m', handler: (items) => void sizes.push(items.length) },
    })
    const text = 'x'.repeat(3 * 2 ** 20)
    for (let sent = 0; sent < 20; sent++) await bus.publish(flow, text)
    const handled = (): number => sizes.reduce((sum, size) => sum + size, 0)
    // The last few are fewer than a batch, and wait.
    await expect.poll(handled, { timeout: 20_000 }).toBeGreaterThan(20 - 8)
    expect(Math.max(...sizes)).toBeGreaterThanOrEqual(4)
  })

  test('rabbitmq: of large messages behind small ones no more is held than a consumer may, and none is lost', async () => {
    const { connect, client, namespace } = bench(broker())
    const adapter = await connect()
    const flow = spec('flow', { maxBytes: 64 * 1024 })
    await create(adapter, flow)
    const member = await subscribe(adapter, flow, { maxBytes: 2 ** 20, maxInFlight: 500 })
    const publish = async (count: number, bytes: number): Promise<void> => {
      for (let sent = 0; sent < count; sent++)
        await send(adapter, 'flow', wire({ id: `${bytes}-${sent}`, body: Buffer.alloc(bytes, 32) }))
    }
    const plain = await client()
    const ready = async (): Promise<number> => (await plain.checkQueue(`${namespace}.flow.work`)).messageCount
    /** Until so many were seen, one by one: more come only when these are settled. */
    const handle = async (count: number): Promise<void> => {
      const seen = new Set<string | undefined>()
      while (seen.size < count) {
        const [delivery] = await member.take(1)
        if (!delivery) throw new Error(`nothing came after ${seen.size} of ${count}`)
        seen.add(delivery.message.id)
        await member.ack(delivery)
      }
    }
    await publish(100, 10)
    await handle(100)
    // Nothing is received meanwhile. Seventeen fit, and sixteen may have been fetched before fewer are.
    await publish(200, 60_000)
    await expect.poll(ready, { timeout: 10_000 }).toBeGreaterThanOrEqual(200 - 17 - 16)
    await handle(200)
    expect(await ready()).toBe(0)
  })
})
