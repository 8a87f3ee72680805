import { channel, consumer, fixed, PolybusError, systemClock, trust } from '@polybus/core'
import { memory } from '@polybus/memory'
import { expect, onTestFinished, test } from 'vitest'
import { testBus, type TestBusOptions, virtualClock } from '../src/index.ts'

interface Item {
  n: number
}
const items = channel('items', { schema: trust<Item>(), groups: ['work', 'other'] })
const copies = channel('copies', { schema: trust<Item>(), groups: ['work'] })

async function bus(options: TestBusOptions) {
  const made = await testBus(options)
  onTestFinished(() => made.close())
  return made
}

test('memory: settled waits for every group of the bus, and for what handlers publish', async () => {
  const seen: string[] = []
  const b = await bus({
    consumers: [
      consumer(items, 'work', async (item, ctx) => {
        await systemClock().turn()
        await ctx.publish(copies, item)
      }),
      consumer(items, 'other', async () => void seen.push('other')),
      consumer(copies, 'work', async () => {
        await systemClock().turn()
        seen.push('copy')
      }),
    ],
  })
  // Not awaited: settled knows of publishes on their way.
  const publishing = [b.publish(items, { n: 1 }), b.publish(items, { n: 2 })]
  await b.settled()
  expect(seen.toSorted()).toEqual(['copy', 'copy', 'other', 'other'])
  await Promise.all(publishing)
})

test('memory: settled says what is left when its time is over', async () => {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => (open = resolve))
  const b = await bus({ consumers: [consumer(items, 'work', () => opened)] })
  await b.publish(items, { n: 1 }, { id: 'slow' })
  await expect(b.settled({ timeout: '50ms' })).rejects.toThrow(/items\/work: 1 not done, such as slow/)
  open()
  await b.settled()
  expect(b.handled(items, 'work')).toEqual([{ value: { n: 1 }, attempts: 1, outcome: 'ack' }])
})

test('memory: settled waits for retries that the broker keeps', async () => {
  const b = await bus({
    consumers: [
      consumer(items, 'work', {
        retry: { attempts: 2, backoff: fixed('150ms'), wait: 'released' },
        handler: (_, { attempt }) => (attempt === 1 ? Promise.reject(new Error('once')) : undefined),
      }),
    ],
  })
  await b.publish(items, { n: 1 })
  await b.settled()
  expect(b.handled(items, 'work')).toEqual([{ value: { n: 1 }, attempts: 2, outcome: 'ack' }])
})

test('memory: batches are recorded item by item', async () => {
  const b = await bus({
    delays: 'skip',
    consumers: [
      consumer(items, 'work', {
        retry: { attempts: 2 },
        batch: {
          max: 10,
          wait: '5ms',
          handler(batch) {
            for (const item of batch) if (item.value.n === 2) item.fail(new Error('two'))
          },
        },
      }),
    ],
  })
  await Promise.all([1, 2, 3].map((n) => b.publish(items, { n })))
  await b.settled()
  expect(b.handled(items, 'work').toSorted((a, c) => a.value.n - c.value.n)).toEqual([
    { value: { n: 1 }, attempts: 1, outcome: 'ack' },
    { value: { n: 2 }, attempts: 2, outcome: 'dead-letter' },
    { value: { n: 3 }, attempts: 1, outcome: 'ack' },
  ])
})

test('memory: two test buses on one broker do not meet', async () => {
  const counts = [0, 0]
  const [a, b] = await Promise.all(
    counts.map((_, index) =>
      bus({ broker: 'memory:shared', consumers: [consumer(items, 'work', () => void counts[index]!++)] }),
    ),
  )
  await a!.publish(items, { n: 1 })
  await Promise.all([a!.settled(), b!.settled()])
  expect(counts).toEqual([1, 0])
})

test('memory: wrong options name their field, and a group that does not run is no empty list', async () => {
  await expect(testBus({ consumers: [], delay: 'skip' } as never)).rejects.toThrow(/delay.*Did you mean 'delays'/)
  await expect(testBus({ consumers: [], delays: 'none' as never })).rejects.toThrow(/delays/)
  await expect(testBus({ consumers: {} as never })).rejects.toThrow(/consumers/)
  await expect(testBus({ consumers: [], broker: 'kafak://x' })).rejects.toThrow(
    /testBus\(\)\.broker.*Did you mean 'kafka:'/,
  )
  const b = await bus({ consumers: [] })
  expect(() => b.handled(items, 'work')).toThrow(PolybusError)
})

test('memory: in virtual time an hour of waiting takes no time', async () => {
  const time = virtualClock()
  const attempts: number[] = []
  const b = await bus({
    broker: memory({ clock: time.clock }),
    consumers: [
      consumer(items, 'work', {
        retry: { attempts: 3, backoff: fixed('1h') },
        handler(_, { attempt }) {
          attempts.push(attempt)
          if (attempt < 3) throw new Error('later')
        },
      }),
    ],
  })
  await b.publish(items, { n: 1 })
  await time.advance(1000)
  expect(attempts).toEqual([1])
  await time.advance(3_598_000)
  expect(attempts).toEqual([1])
  await time.advance(2000)
  expect(attempts).toEqual([1, 2])
  await time.advance(3_600_000)
  expect(attempts).toEqual([1, 2, 3])
  await b.settled()
})
