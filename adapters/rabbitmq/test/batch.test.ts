// Batches that are larger than what a queue gives out at one time.
import { randomUUID } from 'node:crypto'
import { describeBroker } from '@polybus/brokers'
import { channel, createBus, trust } from '@polybus/core'
import { expect, onTestFinished, test } from 'vitest'
import { rabbitmq } from '../src/index.ts'

await describeBroker('rabbitmq', (broker) => {
  test('rabbitmq: a batch begins when the prefetch is used up: more could not come, however long it waited', async () => {
    const namespace = `b${randomUUID().slice(0, 8)}`
    const bus = await createBus(rabbitmq({ url: broker().url }), { namespace, logger: false })
    onTestFinished(() => bus.close())
    // Of 4 MiB each eight would fit into the 32 MiB that a consumer may hold; of small ones four times as many are fetched, soon.
    const flow = channel('flow', { schema: trust<number>(), groups: ['work'], maxBytes: 4 * 2 ** 20 })
    const sizes: number[] = []
    await bus.subscribe(flow, 'work', {
      batch: { max: 250, wait: '10m', handler: (items) => void sizes.push(items.length) },
    })
    await Promise.all(Array.from({ length: 200 }, (_, index) => bus.publish(flow, index)))
    const handled = (): number => sizes.reduce((sum, size) => sum + size, 0)
    // The last few are fewer than a batch, and wait.
    await expect.poll(handled, { timeout: 20_000 }).toBeGreaterThan(200 - 16)
    expect(Math.max(...sizes)).toBeGreaterThanOrEqual(16)
  })
})
