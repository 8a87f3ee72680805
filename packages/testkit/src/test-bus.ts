import { randomUUID } from 'node:crypto'
import {
  type Adapter,
  type AnyChannel,
  type Bus,
  type Channel,
  consumer as defineConsumer,
  type Consumer,
  createBus,
  type Delivery,
  type Duration,
  invalid,
  milliseconds,
  optionalChoice,
  checkKeys,
  type Source,
  type Stats,
  systemClock,
} from '@polybus/core'
import { memory } from '@polybus/memory'
import { adapterOf } from 'polybus'
import { recordRuns, type RunRecord } from './record-runs.ts'
import { tap, type Watcher } from './tap.ts'
import { waitFor } from './wait.ts'

export interface TestBusOptions {
  /** They run as soon as the bus is there. */
  readonly consumers: readonly Consumer[]
  /** A URL or an adapter. Default: a memory broker of this bus's own. A text such as `process.env['TEST_BROKER']` runs the same test on a real one. */
  readonly broker?: string | Adapter | undefined
  /** `skip`: retries come at once, `RetryAfter('1h')` too. Default `real`. */
  readonly delays?: 'real' | 'skip' | undefined
}

/** A message that a group is done with. */
export interface Handled<O> {
  /** As the handler got it last; undefined where it could not be decoded. */
  readonly value: O
  /** How often the handler started. */
  readonly attempts: number
  readonly outcome: 'ack' | 'dead-letter'
}

export interface TestBus extends Bus {
  /**
   * Resolves when the groups that this bus runs have nothing left: all is handled or in the dead letters, also what
   * handlers published to them.
   *
   * @param options `timeout` defaults to 10 s.
   * @throws {Error} after the time-out, saying what is left.
   */
  settled(options?: { readonly timeout?: Duration }): Promise<void>
  /** What the group is done with, in that order. Duplicates that a store absorbed are not among it. */
  handled<O, G extends string>(channel: Channel<any, O, G>, group: NoInfer<G>): readonly Handled<O>[] // oxlint-disable-line typescript/no-explicit-any -- any input
}

interface GroupState {
  readonly channel: AnyChannel
  readonly group: string
  readonly fromEnd: boolean
  readonly handled: Handled<unknown>[]
  /** Ids that this group is done with. */
  readonly done: Set<string>
  /** Received, or moved to a later attempt, and not done. */
  readonly open: Set<string>
}

/**
 * A bus for tests of your own consumers, on a namespace that no other test has.
 *
 * @throws {PolybusError} as `connect()` and `start()`.
 * @example
 * const bus = await testBus({ consumers: [email], delays: 'skip' })
 * await bus.publish(orders, order)
 * await bus.settled()
 * expect(bus.handled(orders, 'email')).toMatchObject([{ outcome: 'ack', attempts: 1 }])
 * await bus.close()
 */
export async function testBus(options: TestBusOptions): Promise<TestBus> {
  checkKeys(options, ['consumers', 'broker', 'delays'], 'testBus()')
  if (!Array.isArray(options.consumers)) throw invalid('testBus().consumers', 'expected an array of consumers.')
  const skip = optionalChoice(options.delays, 'testBus().delays', ['real', 'skip']) === 'skip'
  // Real time, also where the bus has a virtual clock: a test that hangs must end.
  const clock = systemClock()
  const groups = new Map<string, GroupState>()
  const sent = new Map<string, Set<string>>()
  const runs = new Map<string, RunRecord>()
  let publishing = 0

  const nameOf = (channel: string, group: string): string => `${channel}/${group}`
  const broker = await adapterOf(options.broker ?? memory(), 'testBus().broker')
  const adapter = tap(broker, watch(groups, sent, runs))
  const bus = await createBus(
    adapter,
    { namespace: `test-${randomUUID().slice(0, 8)}` },
    skip ? { delayMs: () => 0 } : {},
  )

  const start: Bus['start'] = (...consumers) => {
    const recorded = consumers.map((one) =>
      recordRuns(one, ({ position, value, attempt }) =>
        runs.set(`${nameOf(one.channel.name, one.group)}/${position}`, { position, value, attempt }),
      ),
    )
    for (const { channel, group, '~run': run } of consumers) {
      const fromEnd = (run as { from?: string }).from === 'end'
      groups.set(nameOf(channel.name, group), {
        channel,
        group,
        fromEnd,
        handled: [],
        done: new Set(),
        open: new Set(),
      })
    }
    return bus.start(...recorded)
  }
  const publish: Bus['publish'] = async (...args) => {
    publishing++
    try {
      return await bus.publish(...args)
    } finally {
      publishing--
    }
  }
  /** What a group still has to do, as a text; undefined: nothing. */
  const left = async ({ channel, group, fromEnd, done, open }: GroupState): Promise<string | undefined> => {
    const name = nameOf(channel.name, group)
    const expected = fromEnd ? [] : [...(sent.get(channel.name) ?? [])].filter((id) => !done.has(id))
    const waiting = new Set([...open, ...expected])
    if (waiting.size > 0) return `${name}: ${waiting.size} not done, such as ${[...waiting].slice(0, 3).join(', ')}`
    const { backlog, inFlight }: Stats = await bus.stats(channel, group)
    return backlog || inFlight
      ? `${name}: a backlog of ${backlog ?? 'unknown'}, ${inFlight ?? 'unknown'} in flight`
      : undefined
  }

  try {
    await start(...options.consumers)
  } catch (error) {
    await bus.close()
    throw error
  }
  return {
    ...bus,
    publish,
    start,
    subscribe: async (channel, group, run) => {
      const [subscription] = await start(defineConsumer(channel, group, run))
      if (!subscription) throw invalid('subscribe()', 'no subscription was made.')
      return subscription
    },
    async settled({ timeout = '10s' } = {}) {
      let rest: readonly string[] = []
      await waitFor(
        clock,
        async () => {
          const texts = await Promise.all([...groups.values()].map(left))
          rest = [
            ...texts.filter((text) => text !== undefined),
            ...(publishing > 0 ? [`${publishing} publishes on their way`] : []),
          ]
          return rest.length === 0
        },
        () => `the bus to settle. ${rest.join('; ')}. Health: ${JSON.stringify(bus.health())}`,
        { timeoutMs: milliseconds(timeout, 'settled().timeout') },
      )
    },
    handled(channel, group) {
      const state = groups.get(nameOf(channel.name, group))
      if (!state)
        throw invalid('handled()', `this bus runs no consumer of group '${group}' on channel '${channel.name}'.`)
      return [...state.handled] as never
    },
  }
}

function watch(
  groups: ReadonlyMap<string, GroupState>,
  sent: Map<string, Set<string>>,
  runs: ReadonlyMap<string, RunRecord>,
): Watcher {
  const stateOf = ({ channel, group }: Source): GroupState | undefined => groups.get(`${channel.name}/${group}`)
  const idOf = ({ message, position }: Delivery): string => message.id ?? position
  return {
    sending(batch) {
      for (const { message, to } of batch) {
        const ids = sent.get(to.channel) ?? new Set()
        if (to.kind === 'channel' && message.id !== undefined) sent.set(to.channel, ids.add(message.id))
        // A replay: not done any more.
        if (to.kind === 'group' && message.id !== undefined)
          groups.get(`${to.channel}/${to.group}`)?.open.add(message.id)
      }
    },
    sent({ message, to }, result) {
      // It may be there all the same, but nobody can wait for it.
      if (to.kind === 'channel' && result && !result.ok && message.id !== undefined)
        sent.get(to.channel)?.delete(message.id)
    },
    received(source, deliveries) {
      for (const delivery of deliveries) stateOf(source)?.open.add(idOf(delivery))
    },
    settled(source, delivery, settlement, result) {
      const state = stateOf(source)
      if (!state || !delivery || !result?.ok) return
      const id = idOf(delivery)
      const dead = settlement.kind === 'move' && settlement.to.kind === 'dead-letter'
      if (!dead && settlement.kind !== 'ack') return
      state.open.delete(id)
      state.done.add(id)
      const run = runs.get(`${source.channel.name}/${source.group}/${delivery.position}`)
      // Acknowledged without a run: a duplicate.
      if (run || dead)
        state.handled.push({ value: run?.value, attempts: run?.attempt ?? 0, outcome: dead ? 'dead-letter' : 'ack' })
    },
  }
}
