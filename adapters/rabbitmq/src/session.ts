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
  /** To each channel on one of AMQP's of its own: what closes it must not touch the others. */
  publishes(channel: string): Publisher
  /** Copies of moves: theirs neither. */
  readonly moves: Publisher
  layoutFor(spec: ChannelSpec, recorded?: number): Layout
  /** What is known of a channel; asks the broker for its partitions at first. Later it is at hand. */
  layout(channel: string, call: Call): MaybePromise<Layout>
  /** The same, of a channel that is written to. One that is doubted is made again first, or looked for where nothing may be created. */
  target(channel: string, call: Call): MaybePromise<Layout>
  /** Something of it was gone. */
  doubt(layout: Layout): void
  /** Forgets it: it was set up anew. */
  forget(channel: string): void
  /** Makes what is gone of these groups. A plan cannot see bindings: where some are gone only a message that comes back tells. */
  restore(layout: Layout, groups: readonly string[], call: Call): Promise<void>
  /** Where it may: binds a group that is subscribed. */
  rebind(layout: Layout, group: string): Promise<void>
  /** Binds the declared groups, where it may, if that was last done longer than `verifyMs` ago; tells which of them are gone. */
  verify(layout: Layout, lanes: readonly number[]): Promise<Receipt>
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
  const publishers = new Map<string, Publisher>()
  const others = createPublisher(link, mayCreate)
  /** When a lane of a channel was last bound. */
  const verified = new Map<string, number>()
  const checks = new Map<
    string,
    { running: Promise<unknown>; next: Promise<Receipt> | undefined; lanes: Set<number> }
  >()
  /** Channels, and what is done about them. */
  const doubted = new Map<string, Promise<Layout> | undefined>()
  const restoring = new Map<string, Promise<void>>()
  /** Channels to ask on, that nobody asks on now: one for each question, because a refusal closes it. */
  const free = new Set<Channel>()

  const session: Session = {
    link,
    clock,
    settings,
    mayCreate,
    publishes(channel) {
      const known = publishers.get(channel)
      if (known) return known
      const made = publishers.size < MANY ? createPublisher(link, mayCreate) : others
      publishers.set(channel, made)
      return made
    },
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
    target(channel, call) {
      if (!doubted.has(channel)) return session.layout(channel, call)
      const again = doubted.get(channel) ?? lookAgain(channel)
      doubted.set(channel, again)
      again.then(
        () => doubted.delete(channel),
        () => doubted.has(channel) && doubted.set(channel, undefined),
      )
      return again
    },
    doubt({ channel }) {
      if (!doubted.has(channel)) doubted.set(channel, undefined)
    },
    verify(layout, touched) {
      const { channel } = layout
      const old = (lane: number): boolean => isOld(channel, lane)
      // Where nothing may be created, bindings cannot be seen.
      const lanes = new Set(mayCreate ? touched.filter(old) : [])
      if (lanes.size === 0) return DONE
      // A check that has begun may have bound already: who comes later waits for the next, and shares it.
      const state = checks.get(channel)
      if (state?.next) {
        for (const lane of lanes) state.lanes.add(lane)
        return state.next
      }
      const before = state?.running ?? DONE
      const entry = { running: before, next: undefined as Promise<Receipt> | undefined, lanes }
      const run = before
        .catch(() => undefined)
        .then(() => {
          entry.next = undefined
          return check(layout, [...lanes].filter(old))
        })
      entry.running = run
      entry.next = run
      checks.set(channel, entry)
      return run
    },
  }
  const isOld = (channel: string, lane: number): boolean => {
    const at = verified.get(`${lane} ${channel}`)
    return at === undefined || clock.now() - at >= settings.verifyMs
  }
  const lookAgain = async (channel: string): Promise<Layout> => {
    const layout = await session.layout(channel, SHARED)
    if (mayCreate) await makeAgain(layout, layout.groups, SHARED)
    else {
      const queues = layout.groups.flatMap((group) => layout.queues(group))
      await Promise.all(queues.map(lookFor))
    }
    return layout
  }
  const makeAgain = async (layout: Layout, groups: readonly string[], call: Call): Promise<void> => {
    // What was deleted just now must be gone for good first.
    await sleep(clock, goneMs(link.version), call.signal)
    await declareChannel(link, layout, call)
    for (const group of groups) await declareGroup(link, layout, group, call)
  }
  const remake = async (layout: Layout, groups: readonly string[], call: Call): Promise<void> => {
    try {
      await makeAgain(layout, groups, call)
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
  /** Nobody here can make it: that is told at once, and not tried again. */
  const lookFor = async (queue: string): Promise<void> => {
    try {
      await link.aside((aside) => aside.checkQueue(queue), SHARED)
    } catch (error) {
      throw PolybusError.is(error, 'TOPOLOGY_MISSING') ? missing(`queue '${queue}'`, false, 'no') : error
    }
  }
  const check = async (layout: Layout, lanes: readonly number[]): Promise<Receipt> => {
    const startedAt = clock.now()
    const looks = await Promise.allSettled(layout.groups.map((group) => bindAgain(layout, group, lanes)))
    const gone = looks.flatMap((look, place) => {
      if (look.status === 'fulfilled') return []
      const group = layout.groups[place] as string
      const error: unknown = look.reason
      if (!PolybusError.is(error, 'TOPOLOGY_MISSING')) throw error
      const text = `The group '${group}' of the channel '${layout.channel}' was gone: ${error.message}`
      return [{ group, error: new PolybusError('TOPOLOGY_MISSING', text, { retryable: true, sent: 'unknown' }) }]
    })
    if (gone.length > 0) {
      session.doubt(layout)
      return { missing: gone }
    }
    for (const lane of lanes) verified.set(`${lane} ${layout.channel}`, startedAt)
    return FINE
  }
  const bindAgain = async (layout: Layout, group: string, lanes: readonly number[]): Promise<void> => {
    const channel = await freeChannel()
    await link.ask(() =>
      Promise.all(bindingsOf(layout, group, new Set(lanes)).map((binding) => bind(channel, binding))),
    )
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

/** A server allows 2,047 channels a connection. Who publishes to more than so many of ours has the rest share one. */
const MANY = 1000
const FINE: Receipt = {}
const DONE = Promise.resolve(FINE)
/** Of work that many callers wait for: none of them ends it. */
const SHARED: Call = { signal: new AbortController().signal }
