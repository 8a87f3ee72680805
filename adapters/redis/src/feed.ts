import {
  type Call,
  type Clock,
  createBell,
  type Delivery,
  type Feed,
  type PolybusError,
  type Result,
  type Source,
} from '@polybus/core'
import { type Command, command, type Link, script } from './connection.ts'
import { aborted, connectionFailed, feedBroken, leaseLost } from './errors.ts'
import { createHeld, noteOf, type Token } from './held.ts'
import { type Layout, type Layouts, streamsOf } from './layout.ts'
import { createLanesReader } from './lanes.ts'
import { bytesOf, createReading, fromFields, withCoreHeaders } from './mapping.ts'
import { RELEASED } from './names.ts'
import { unpackNote } from './notes.ts'
import type { Settings } from './options.ts'
import { createPlainReader } from './plain.ts'
import type { Found, Member, Reader } from './reader.ts'
import { add, createSettle } from './settle.ts'
import { backlogOf } from './stats.ts'
import { keepTidy } from './tidy.ts'
import { isBefore, type Waker } from './waker.ts'

/** How long an empty receive waits. */
const WAIT_MS = 1000
const NONE: readonly Delivery[] = []
const NOTHING: ReadonlyMap<string, string> = new Map()

export interface FeedOptions {
  readonly link: Link
  readonly clock: Clock
  readonly settings: Settings
  readonly layouts: Layouts
  readonly layout: Layout
  readonly source: Source
  readonly waker: Waker
  readonly name: string
  /** Names of feeds of this group whose connection was lost. Shared with the adapter. */
  readonly orphans: string[]
}

/** Names of this process whose entries are still to be taken over: of a connection that is cut again and again. */
const MOST_ORPHANS = 100

/** Joins the group; the feed is what its consumer holds. */
export async function createFeed(options: FeedOptions, call: Call): Promise<Feed> {
  const { link, clock, settings, layouts, layout, source, waker, name } = options
  const { group } = source
  const { keys } = layout
  const streams = streamsOf(layout, group)
  const channel = settings.channels.get(layout.channel)
  let orphans: readonly string[] = options.orphans.splice(0)
  let broken: PolybusError | undefined
  let closing: Promise<void> | undefined
  let draining = false
  let underWay: Promise<unknown> = Promise.resolve()
  const bell = createBell(clock)
  /** A receive waits for room. */
  let crowded = false
  /** While it was reading: it reads again before it waits. */
  let nudged = false
  /** Of the largest message lately: how many go into the room that is left. */
  let largest = 0
  /** What was handed out last of each stream, except for what came again. */
  const newest = new Map<string, string>()

  const lose = (tokens: readonly Token[]): void => {
    for (const token of tokens) held.drop(token)
    if (tokens.length > 0) source.onLost(tokens)
  }
  const nudge = (): void => {
    nudged = true
    bell.ring()
  }
  const held = createHeld(clock, lose)
  const ofLane = (lane: number): readonly Token[] => held.all().filter((token) => token.lane === lane)
  const member: Member = {
    link,
    clock,
    settings,
    layout,
    group,
    name,
    get orphans() {
      return orphans
    },
    nudge,
    adopted: (names) => (orphans = orphans.filter((one) => !names.includes(one))),
    rewound: () => lose(held.all()),
    lostLanes: (lanes) => lose(held.all().filter(({ lane }) => lanes.includes(lane))),
    handOver(lane) {
      return new Promise((resolve) => {
        const timer = clock.timer(settings.handoverMs, resolve)
        source.onRevoke(ofLane(lane)).then(
          () => {
            timer.cancel()
            resolve()
          },
          // Core does not reject; if it does, its tokens are lost like those of a hand-over that takes too long.
          () => {
            timer.cancel()
            resolve()
          },
        )
      })
    },
  }
  const reader: Reader = layout.keyed ? createLanesReader(member) : createPlainReader(member)
  const settle = createSettle(member, layouts, held, reader)
  const tidy = keepTidy(member, () => reader.lanes ?? [0])

  /** Everything that this name still holds in Redis is taken over by the next feed of this process. */
  const orphan = (): void => {
    options.orphans.push(...new Set([...orphans, name]))
    options.orphans.splice(0, options.orphans.length - MOST_ORPHANS)
  }
  const stopAll = (): void => {
    tidy.stop()
    reader.stop()
    held.stop()
  }
  const unwatch = link.onDead((error) => {
    broken ??= connectionFailed(error.message, 'unknown', error)
    stopAll()
    orphan()
    lose(held.all())
    nudge()
  })

  /** Behind small messages may stand the largest of the channel: what one read brings stays within four times the room. */
  const most = Math.max(1, Math.floor((4 * source.maxBytes) / source.channel.maxBytes))
  const roomFor = (max: number): number => {
    const messages = Math.min(max, most, source.maxInFlight - held.size)
    if (held.size === 0 && largest === 0) return Math.min(messages, 1)
    const bytes = Math.floor((source.maxBytes - held.bytes) / Math.max(1, largest))
    return Math.min(messages, held.size === 0 ? Math.max(1, bytes) : bytes)
  }
  const deliver = (found: readonly Found[], askedAt: number): readonly Delivery[] => {
    const now = clock.now()
    const endsAt = layout.keyed ? Infinity : askedAt + settings.leaseMs
    const reading = createReading()
    let named: ReadonlyMap<string, Token> | undefined
    /** Our own lease had run out, or the group was moved, and it came back to us. */
    const mine = (position: string): Token | undefined => (named ??= held.named()).get(position)
    return found.map(({ where, lane, id, fields, count, note }): Delivery => {
      const position = `${where === 'r' ? 'retry-' : ''}${lane}/${id}`
      const key = where === 'r' ? keys.retry(group, lane) : keys.stream(lane)
      const further = isFurther(id, newest.get(key))
      if (further) newest.set(key, id)
      const before = further && count === 1 ? undefined : mine(position)
      if (before) lose([before])
      const read = fromFields(fields, layout.channel, position, channel, reading)
      const message = note ? withCoreHeaders(read, unpackNote(note)) : read
      const bytes = bytesOf(fields)
      largest = Math.max(bytes, largest * 0.9)
      const token: Token = {
        key,
        where,
        lane,
        id,
        position,
        message,
        bytes,
        noted: note !== null,
        live: true,
        endsAt,
        before: undefined,
        after: undefined,
      }
      held.add(token)
      return { message, token, lane: String(lane), position, count, leaseMs: layout.keyed ? null : endsAt - now }
    })
  }
  const receive = async (max: number, { signal }: Call): Promise<readonly Delivery[]> => {
    const until = clock.now() + WAIT_MS
    for (;;) {
      if (broken) throw broken
      if (signal.aborted || draining || closing) return NONE
      nudged = false
      const room = roomFor(max)
      if (room > 0) {
        const askedAt = clock.now()
        const found = await reader.read(room)
        // Whoever closes waits for this, and gives it back with the rest.
        if (found.length > 0) return deliver(found, askedAt)
      }
      const left = until - clock.now()
      if (left <= 0) return NONE
      if (nudged) continue
      crowded = room <= 0
      const stop = waker.watch(crowded ? NOTHING : reader.after, bell.ring)
      await bell.heard(Math.min(left, reader.lookAgainMs), signal)
      stop()
    }
  }
  const giveBack = (): Command[] => {
    const lists = new Map<string, Token[]>()
    for (const token of held.all()) add(lists, token.key, token)
    return [...lists].map(([key, list]) => {
      const [first] = list
      const tag = first ? noteOf({ ...first, id: '' }) : ''
      return script(
        'release',
        [key, keys.notes(group)],
        group,
        name,
        RELEASED,
        0,
        tag,
        ...list.flatMap(({ id }) => [id, '']),
      )
    })
  }
  const close = async (): Promise<void> => {
    stopAll()
    nudge()
    unwatch()
    if (broken) return
    await underWay.catch(() => undefined)
    if (link.dead) return orphan()
    broken = feedBroken('The feed is closed.')
    const commands = giveBack()
    for (const token of held.all()) token.live = false
    try {
      if (commands.length > 0) await link.batch(commands)
      await reader.leave()
      // A name that holds nothing would stay for good.
      await link.call(script('forget', streams, group, name))
    } catch (error) {
      orphan()
      throw error
    }
  }
  const extend = async (tokens: readonly unknown[], call: Call): Promise<readonly Result<number>[]> => {
    const asked = clock.now()
    const wanted = tokens as readonly Token[]
    const lists = new Map<string, Token[]>()
    for (const token of wanted) if (token.live) add(lists, token.key, token)
    const granted = new Set<Token>()
    const entries = [...lists]
    const replies = await link.batch(
      entries.map(([key, list]) => script('extend', [key], group, name, ...list.map(({ id }) => id))),
      call,
    )
    const failures = new Map<Token, PolybusError>()
    for (const [index, [, list]] of entries.entries()) {
      const reply = replies[index]
      for (const [at, token] of list.entries())
        if (!reply?.ok) failures.set(token, reply?.error ?? connectionFailed('no answer'))
        else if ((reply.value as readonly number[])[at] === 1) granted.add(token)
    }
    const now = clock.now()
    return wanted.map((token) => {
      const failure = failures.get(token)
      if (failure) return { ok: false, error: failure }
      if (!granted.has(token)) {
        held.drop(token)
        return { ok: false, error: leaseLost(token.position) }
      }
      held.renewed(token, asked + settings.leaseMs)
      return { ok: true, value: Math.max(0, asked + settings.leaseMs - now) }
    })
  }

  try {
    await reader.start(call.signal)
  } catch (error) {
    stopAll()
    unwatch()
    // A connection that was lost meanwhile has noted it already.
    if (!broken) orphan()
    throw error
  }
  return {
    receive(max, by) {
      const work = receive(max, by)
      underWay = work.catch(() => undefined)
      return work
    },
    async settle(batch, by) {
      if (broken) throw broken
      if (by.signal.aborted) throw aborted('no')
      const results = await settle(batch, by)
      if (crowded) nudge()
      return results
    },
    ...(layout.keyed ? {} : { extend }),
    state: () => ({
      connected: broken === undefined && link.dead === undefined,
      lanes: reader.lanes?.map(String) ?? null,
      buffered: 0,
    }),
    backlog: (by) => backlogOf(link, layout, group, reader.lanes ?? [0], by),
    async drain(by) {
      draining = true
      nudge()
      await link.call(command('PING', []), by)
    },
    close: () => (closing ??= close()),
  }
}

/** Where their numbers have as many digits, as they mostly do, ids are in the order of their characters. */
const isFurther = (id: string, last: string | undefined): boolean =>
  last === undefined ||
  (id.length === last.length && id.indexOf('-') === last.indexOf('-') ? id > last : isBefore(last, id))
