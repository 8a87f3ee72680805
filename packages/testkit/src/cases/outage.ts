// What cases share that take the broker away.
import { type Bus, type BusEvent, PolybusError } from '@polybus/core'
import type { Env, Item, ItemChannel } from '../env.ts'
import type { Facts } from '../facts.ts'
import { rejection } from '../wait.ts'

/** The connection is down, and the bus's adapter knows: what is published now certainly waits. */
export async function goDown(env: Env, bus: Bus, flow: ItemChannel): Promise<void> {
  await env.faults.down?.()
  // What was written to a connection that had just gone is uncertain, rightly so.
  await env.waitFor(
    async () => (await rejection(env.publish(bus, flow, env.item(), { timeout: '100ms' }))).sent === 'no',
    'the outage to be noticed',
  )
}

export interface Consuming {
  /** How many feeds are open: the number of consumers. */
  readonly open: number
  readonly subscribed: number
  readonly events: readonly BusEvent[]
}

/** A bus with one consumer, which tells of its subscriptions. */
export async function consuming(env: Env, flow: ItemChannel): Promise<Consuming> {
  const state = { open: 0, subscribed: 0 }
  const events: BusEvent[] = []
  const bus = await env.bus({
    observe: (event) => void events.push(event),
    watcher: {
      subscribed() {
        state.open++
        state.subscribed++
      },
      feedClosed: () => void state.open--,
    },
  })
  await bus.start(env.consumer(flow, 'work', { retry: { attempts: 5 }, label: 'consumer' }))
  return Object.assign(state, { events })
}

/** Publishes one after the other until told to stop; answers how many were rejected. */
export function steadily(env: Env, publish: (item: Item) => Promise<unknown>, keys = 0): { stop(): Promise<number> } {
  let going = true
  let failed = 0
  let count = 0
  const loop = (async () => {
    while (going && !env.signal.aborted) {
      await publish(env.item(keys > 0 ? `k${count++ % keys}` : undefined)).catch(() => failed++)
      await env.clock.turn()
    }
  })()
  return {
    async stop() {
      going = false
      await loop
      return failed
    },
  }
}

/** The harness can make the broker refuse writes. */
export const blocking = ({ faults }: Facts): string | undefined =>
  (faults.blockWrites ?? faults.refuse) ? undefined : 'the harness has no fault blockWrites or refuse'

/** The broker refuses every write to this destination of the group `work`, until the answer is called. */
export async function block(env: Env, kind: 'group' | 'dead-letter', channel: string): Promise<() => Promise<void>> {
  const { blockWrites, refuse } = env.faults
  const undo = blockWrites
    ? await blockWrites({ kind, channel, group: 'work' })
    : await refuse?.(({ to }) => (to.kind === kind ? new PolybusError('BROKER_BUSY') : undefined))
  return async () => undo?.()
}
