// What hangs on one link: publishers, what is known of channels, and the check that no declared group is missed.
import type { Channel } from 'amqplib'
import {
  type Call,
  type ChannelSpec,
  type Clock,
  type MaybePromise,
  PolybusError,
  type Receipt,
  sleep,
} from '@polybus/core'
import type { Link } from './connection.ts'
import { missing } from './errors.ts'
import { goneMs } from './lane.ts'
import { bindingsOf, type Layout, layoutOf } from './layout.ts'
import type { Settings } from './options.ts'
import { createPublisher, type Publisher } from './publisher.ts'
import { bind, declareChannel, declareGroup, readPartitions } from './topology.ts'

export interface Session {
  readonly link: Link
  readonly clock: Clock
  readonly settings: Settings
  readonly mayCreate: boolean
  readonly publishes: Publisher
  /** Copies of moves: what kills the one channel must not touch the other. */
  readonly moves: Publisher
  layoutFor(spec: ChannelSpec, recorded?: number): Layout
  /** What is known of a channel; asks the broker for its partitions at first. Later it is at hand. */
  layout(channel: string, call: Call): MaybePromise<Layout>
  /** Forgets it: it was set up anew. */
  forget(channel: string): void
  /** Makes what is gone of these groups. A plan cannot see bindings: where some are gone only a message that comes back tells. */
  restore(layout: Layout, groups: readonly string[], call: Call): Promise<void>
  /** Where it may: binds a group that is subscribed. */
  rebind(layout: Layout, group: string): Promise<void>
  verify(layout: Layout, lanes: ReadonlySet<number>, call: Call): Promise<Receipt>
}

export interface SessionOptions {
  readonly link: Link
  readonly clock: Clock
  readonly settings: Settings
  readonly namespace: string | undefined
  readonly mayCreate: boolean
  /** Channels that core spoke of. */
  readonly specs: ReadonlyMap<string, ChannelSpec>
}

export function createSession(options: SessionOptions): Session {
  const { link, clock, settings, namespace, mayCreate, specs } = options
  const layouts = new Map<string, MaybePromise<Layout>>()
  const verified = new Map<string, number>()
  const checks = new Map<
    string,
    { running: Promise<unknown>; next: Promise<Receipt> | undefined; lanes: Set<number> }
  >()
  const restoring = new Map<string, Promise<void>>()
  /** Channels to ask on, that nobody asks on now: one for each question, because a refusal closes it. */
  const free = new Set<Channel>()

  const session: Session = {
    link,
    clock,
    settings,
    mayCreate,
    publishes: createPublisher(link, mayCreate),
    moves: createPublisher(link, mayCreate),
    layoutFor: (spec, recorded) => layoutOf(settings, namespace, spec, recorded),
    layout(channel, call) {
      const known = layouts.get(channel)
      if (known) return known
      const asked = read(channel, call)
      layouts.set(channel, asked)
      asked.then(
        (found) => layouts.get(channel) === asked && layouts.set(channel, found),
        () => layouts.delete(channel),
      )
      return asked
    },
    forget: (channel) => void layouts.delete(channel),
    async restore(layout, groups, call) {
      // Many messages come back at once.
      const place = [layout.channel, ...groups].join('/')
      const running = restoring.get(place) ?? remake(layout, groups, call).finally(() => restoring.delete(place))
      restoring.set(place, running)
      await running
    },
    async rebind(layout, group) {
      if (!mayCreate) return
      await link.aside((channel) => Promise.all(bindingsOf(layout, group).map((binding) => bind(channel, binding))))
    },
    verify(layout, lanes, call) {
      const at = verified.get(layout.channel)
      if (at !== undefined && settings.verifyMs > 0 && clock.now() - at < settings.verifyMs) return DONE
      // A check that has begun may have looked already: who comes later waits for the next, and shares it.
      const state = checks.get(layout.channel)
      if (state?.next) {
        for (const lane of lanes) state.lanes.add(lane)
        return state.next
      }
      const wanted = new Set(lanes)
      const before = state?.running ?? Promise.resolve()
      const entry = { running: before, next: undefined as Promise<Receipt> | undefined, lanes: wanted }
      const run = before
        .catch(() => undefined)
        .then(() => {
          entry.next = undefined
          return check(layout, wanted, call)
        })
      entry.running = run
      entry.next = run
      checks.set(layout.channel, entry)
      return run
    },
  }
  const remake = async (layout: Layout, groups: readonly string[], call: Call): Promise<void> => {
    try {
      // What was deleted just now must be gone for good first.
      await sleep(clock, goneMs(link.version), call.signal)
      await declareChannel(link, layout, call)
      for (const group of groups) await declareGroup(link, layout, group, call)
    } catch (error) {
      // The message is refused as it is; what went wrong here comes again with its next try.
      if (!PolybusError.is(error)) throw error
    }
  }
  const read = async (channel: string, call: Call): Promise<Layout> => {
    const spec = specs.get(channel)
    if (!spec) throw missing(`channel '${channel}' that this bus knows of`, false)
    const plain = session.layoutFor(spec)
    if (!plain.laned) return plain
    const recorded = await readPartitions(link, plain, call)
    if (recorded === undefined && mayCreate) throw missing(`channel '${channel}'`, true)
    return session.layoutFor(spec, recorded)
  }
  const check = async (layout: Layout, lanes: ReadonlySet<number>, call: Call): Promise<Receipt> => {
    const startedAt = clock.now()
    const gone: { group: string; error: PolybusError }[] = []
    const looks = await Promise.allSettled(layout.groups.map((group) => look(layout, group, lanes)))
    for (const [place, looked] of looks.entries()) {
      if (looked.status === 'fulfilled') continue
      const group = layout.groups[place] as string
      const error: unknown = looked.reason
      if (!PolybusError.is(error, 'TOPOLOGY_MISSING')) throw error
      if (mayCreate) {
        await sleep(clock, goneMs(link.version))
        await declareChannel(link, layout, call)
        await declareGroup(link, layout, group, call)
      }
      gone.push({
        group,
        error: new PolybusError(
          'TOPOLOGY_MISSING',
          `The group '${group}' of the channel '${layout.channel}' was gone: ${error.message}`,
          { retryable: true, sent: 'unknown' },
        ),
      })
    }
    if (gone.length > 0) return { missing: gone }
    verified.set(layout.channel, startedAt)
    return {}
  }
  /** Where nothing may be created, queues are looked for; their bindings cannot be seen. */
  const look = async (layout: Layout, group: string, lanes: ReadonlySet<number>): Promise<void> => {
    const channel = await freeChannel()
    if (mayCreate) {
      const bindings = bindingsOf(layout, group, lanes)
      await link.ask(() => Promise.all(bindings.map((binding) => bind(channel, binding))))
      if (bindings.length > 0) return void free.add(channel)
    }
    await link.ask(() => Promise.all([...lanes].map((lane) => channel.checkQueue(layout.queue(group, lane)))))
    free.add(channel)
  }
  const freeChannel = async (): Promise<Channel> => {
    for (const channel of free) {
      free.delete(channel)
      return channel
    }
    const made = await link.channel()
    made.on('close', () => free.delete(made))
    return made
  }
  return session
}

const DONE: Promise<Receipt> = Promise.resolve({})
