// A bus over the fake adapter, in time that stands still.
import type { Capabilities, Delivery } from '../src/adapter.ts'
import type { Bus, BusEvent, BusOptions } from '../src/api.ts'
import { createBus } from '../src/bus.ts'
import { type FakeAdapter, fakeAdapter, type FakeFeed, type Manual, manual } from './fake.ts'

export interface BusRig {
  readonly time: Manual
  readonly adapter: FakeAdapter
  readonly bus: Bus
  readonly events: BusEvent[]
  readonly logs: string[]
  feed(): FakeFeed
  deliver(...deliveries: Delivery[]): Promise<void>
  /** What the last feed was told, as short texts. */
  settled(): string[]
}

export async function busRig(able: Partial<Capabilities> = {}, options: BusOptions = {}): Promise<BusRig> {
  const time = manual()
  const adapter = fakeAdapter(time.clock, able)
  const events: BusEvent[] = []
  const logs: string[] = []
  const log = (_: object, text: string): void => void logs.push(text)
  const bus = await createBus(adapter, {
    logger: { debug: log, info: log, warn: log, error: log },
    observe: (event) => events.push(event),
    ...options,
  })
  const feed = (): FakeFeed => adapter.feeds.at(-1) as FakeFeed
  return {
    time,
    adapter,
    bus,
    events,
    logs,
    feed,
    async deliver(...deliveries) {
      feed().push(...deliveries)
      await time.quiet()
    },
    settled: () =>
      feed().settled.map((settlement) =>
        settlement.kind === 'move'
          ? `${String(settlement.token)} ${settlement.to.kind}${settlement.to.kind === 'group' ? ` ${settlement.to.delayMs}` : ''}`
          : `${String(settlement.token)} ${settlement.kind}${'headers' in settlement && settlement.headers ? ' with headers' : ''}`,
      ),
  }
}
