// The scenarios: the bare work first, then the bus with one stage more each time.
import { memory } from '@polybus/memory'
import { memoryStore } from '@polybus/idempotency'
import { type Bus, channel, type Channel, connect, consumer, type Policy, trust } from 'polybus'
import { z } from 'zod'
import { type Prepared, type Scenario, timed } from './measure.ts'

export interface Order {
  readonly id: string
  readonly customer: string
  readonly cents: number
}
const schema = z.object({ id: z.string(), customer: z.string(), cents: z.number().int() })
const orderOf = (index: number): Order => ({ id: `o-${index}`, customer: `c-${index % 1000}`, cents: index % 10_000 })

/** Published and not yet handled: as a producer that watches its consumers would keep it. */
const WINDOW = 1000
export const CONCURRENCY = 32

/** What nobody can avoid: encode, decode, validate on both sides, await the handler. */
const bare: Scenario = {
  name: 'bare',
  what: 'JSON and zod on both sides, an awaited handler, no bus',
  async prepare() {
    const decoder = new TextDecoder('utf-8', { fatal: true })
    let sum = 0
    const handler = async (order: Order): Promise<void> => {
      sum += order.cents
    }
    return {
      run: (messages) =>
        timed(async () => {
          for (let index = 0; index < messages; index++) {
            const body = Buffer.from(JSON.stringify(schema.parse(orderOf(index))))
            await handler(schema.parse(JSON.parse(decoder.decode(body))))
          }
        }),
      close: async () => {},
    }
  },
}

/** Publishes with a window; `handled` says how many are through. */
async function pump(bus: Bus, orders: Channel<Order>, messages: number, progress: Progress): Promise<void> {
  const end = progress.handled + messages
  for (let sent = progress.handled; sent < end;) {
    while (sent < end && sent - progress.handled < WINDOW) {
      // A failed publish ends the run: nothing here may be lost unnoticed.
      bus.publish(orders, orderOf(sent++)).catch(progress.fail)
    }
    await progress.below(sent - WINDOW / 2)
  }
  await progress.below(end)
}

interface Progress {
  handled: number
  readonly done: () => void
  readonly fail: (error: unknown) => void
  /** Resolves when so many are handled. */
  below(count: number): Promise<void>
}
function createProgress(): Progress {
  let wanted = Infinity
  let wake: () => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const progress: Progress = {
    handled: 0,
    done() {
      if (++progress.handled < wanted) return
      wanted = Infinity
      wake()
    },
    fail: (error) => reject(error),
    below: (count) =>
      progress.handled >= count
        ? Promise.resolve()
        : new Promise((resolve, fail) => {
            wanted = count
            wake = resolve
            reject = fail
          }),
  }
  return progress
}

const withBus = async (orders: Channel<Order>, policy: Partial<Policy<Order, undefined>>): Promise<Prepared> => {
  const bus = await connect({ broker: memory(), logger: false })
  const progress = createProgress()
  await bus.start(
    consumer(orders, 'bench', { concurrency: CONCURRENCY, ...policy, handler: async () => progress.done() }),
  )
  return { run: (messages) => timed(() => pump(bus, orders, messages, progress)), close: () => bus.close() }
}

const groups = ['bench'] as const
const key = (order: Order): string => order.customer
export const plain: Channel<Order> = channel('plain', { schema: trust<Order>(), groups })
const keyed = channel('keyed', { schema: trust<Order>(), key, groups })
const checked = channel('checked', { schema, groups })
const full = channel('full', { schema, key, groups })

/** Fills the channel while its consumer is paused, then lets it be emptied: each half is measured by itself. */
export async function halves<Tx = undefined>(
  measure: 'publish' | 'consume',
  orders: Channel<Order>,
  policy: Partial<Policy<Order, Tx>>,
  handler: (done: () => void) => Promise<void> | void,
): Promise<Prepared> {
  const bus = await connect({ broker: memory(), logger: false })
  const progress = createProgress()
  const [subscription] = await bus.start(
    consumer(orders, 'bench', { concurrency: CONCURRENCY, ...policy, handler: () => handler(progress.done) }),
  )
  const fill = async (messages: number): Promise<void> => {
    const sent = createProgress()
    for (let index = 0; index < messages; index++) {
      bus.publish(orders, orderOf(index)).then(sent.done, sent.fail)
      if (index - sent.handled >= WINDOW) await sent.below(index - WINDOW / 2)
    }
    await sent.below(messages)
  }
  return {
    async run(messages) {
      const wanted = progress.handled + messages
      subscription?.pause()
      const publishing = await timed(() => fill(messages))
      const consuming = await timed(async () => {
        subscription?.resume()
        await progress.below(wanted)
      })
      return measure === 'publish' ? publishing : consuming
    },
    close: () => bus.close(),
  }
}
const half = (measure: 'publish' | 'consume'): Scenario => ({
  name: measure,
  what: `${measure === 'publish' ? 'publishing' : 'consuming'} alone, all of full but the store`,
  prepare: () => halves(measure, full, {}, async (done) => done()),
})

export const scenarios: readonly Scenario[] = [
  bare,
  half('publish'),
  half('consume'),
  { name: 'both', what: 'publish and consume, unchecked, no key', prepare: () => withBus(plain, {}) },
  { name: 'both + key', what: 'key lanes', prepare: () => withBus(keyed, {}) },
  { name: 'both + schema', what: 'zod on both sides', prepare: () => withBus(checked, {}) },
  {
    name: 'both + store',
    what: 'deduplicated with the memory store',
    prepare: () => withBus(plain, { idempotency: memoryStore() }),
  },
  {
    name: 'both + middleware',
    what: 'one middleware that does nothing',
    prepare: () => withBus(plain, { use: [(_ctx, next) => next()] }),
  },
  {
    name: 'both - retry',
    what: 'one attempt, and no dead letters',
    prepare: () => withBus(plain, { retry: false, deadLetter: false }),
  },
  {
    name: 'full',
    what: 'key lanes, zod on both sides, retry, dead letters, deduplicated',
    prepare: () => withBus(full, { retry: { attempts: 5 }, idempotency: memoryStore() }),
  },
]
