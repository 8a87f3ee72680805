import {
  type Call,
  createBell,
  type Delivery,
  type Feed,
  leaveChain,
  listChain,
  type PolybusError,
  type Source,
  type Timer,
} from '@polybus/core'
import { aborted, feedBroken, rabbitError } from './errors.ts'
import { goneMs, IDLE_MS, type Lane, openLane, type Token } from './lane.ts'
import type { Layout } from './layout.ts'
import { countOf, fromNative, timesIn } from './mapping.ts'
import { joinMembers, type Members, share } from './members.ts'
import type { Session } from './session.ts'
import { createSettle } from './settle.ts'
import { depthOf } from './stats.ts'

/** How long an empty receive waits. */
const WAIT_MS = 1000
const NONE: readonly Delivery[] = []

/** Joins the group; the feed is what its consumer holds. */
export async function createFeed(
  session: Session,
  layout: Layout,
  source: Source,
): Promise<Feed & { readonly most: number }> {
  const { link, clock, settings } = session
  const { keyed, partitions, names } = layout
  const { group, maxInFlight } = source
  const lanes = new Map<number, Lane>()
  /** Lanes that are being opened or closed. */
  const moving = new Map<number, Promise<void>>()
  /** Closing a connection overtakes what its channels have still to send: acks. */
  const ends = new Set<Promise<void>>()
  let members: Members | undefined
  let me = ''
  let broken: PolybusError | undefined
  let closing: Promise<void> | undefined
  let draining = false
  let handed = 0
  let bytes = 0
  let turn = 0
  const bell = createBell(clock)
  const timeIn = timesIn()

  // prefetch counts messages alone: so many that their largest would fit, and all that core wants while they are small.
  const fitting = Math.max(1, Math.floor(source.maxBytes / source.channel.maxBytes))
  const whole = Math.min(maxInFlight, fitting, 65_535)
  const prefetch = keyed ? Math.min(whole, 2 * Math.ceil(whole / partitions)) : whole
  const widest = Math.min(maxInFlight, 65_535)

  const wake = bell.ring
  const drop = (token: Token): void => {
    if (!token.live) return
    token.live = false
    forget(token)
  }
  const forget = (token: Token): void => {
    leaveChain(token.lane.held, token)
    handed--
    bytes -= token.bytes
    token.lane.bytes -= token.bytes
    if (draining && token.lane.held.size === 0 && keyed) void giveUp(token.lane)
    wake()
  }
  const lose = (tokens: readonly Token[]): void => {
    for (const token of tokens) drop(token)
    if (tokens.length > 0) source.onLost(tokens)
  }
  const breakUp = (error: PolybusError): void => {
    broken ??= error
    members?.stop()
    binding?.cancel()
    wake()
  }
  const onClosed = (lane: Lane, error: PolybusError, gone: boolean): void => {
    if (lanes.get(lane.id) === lane) lanes.delete(lane.id)
    lose(listChain(lane.held))
    // One lane of several is opened again; the rest knows nothing of it.
    if (keyed && !gone && !link.dead) return reconcile()
    if (gone) clock.timer(goneMs(link.version), () => breakUp(error))
    else breakUp(feedBroken(`The channel of '${lane.queue}' was closed: ${error.message}`, error))
  }
  const take = async (id: number): Promise<void> => {
    const lane = await openLane({
      link,
      clock,
      shared: !keyed,
      id,
      queue: layout.queue(group, id),
      prefetch,
      widest,
      maxBytes: source.maxBytes,
      durable: source.durable,
      wake,
      onClosed,
    })
    if (closing || broken || draining) return lane.close()
    lanes.set(id, lane)
    members?.tell()
  }
  /** Closes a lane that holds nothing any more. */
  const giveUp = (lane: Lane): Promise<void> => {
    if (lanes.get(lane.id) === lane) lanes.delete(lane.id)
    const end = lane
      .close()
      .catch(() => undefined)
      .finally(() => ends.delete(end))
    ends.add(end)
    return end
  }
  /** Starts nothing, lets what runs finish, then closes the lane's own channel. */
  const handOver = async (lane: Lane): Promise<void> => {
    lane.leaving = true
    await new Promise<void>((resolve) => {
      const timer = clock.timer(settings.handoverMs, resolve)
      source
        .onRevoke(listChain(lane.held))
        // Core does not reject; if it does, what it holds is lost like after a hand-over that takes too long.
        .catch(() => undefined)
        .finally(() => {
          timer.cancel()
          resolve()
        })
    })
    lose(listChain(lane.held))
    await giveUp(lane)
    members?.tell()
  }
  const move = (id: number, work: Promise<void>): void => {
    const done = work
      .catch((error: unknown) => {
        if (!closing) breakUp(feedBroken(`A lane could not be moved: ${String((error as Error).message)}`, error))
      })
      .finally(() => {
        moving.delete(id)
        if (!closing && !broken && !draining) reconcile()
      })
    moving.set(id, done)
  }
  /** What was silently taken from us is ours again: see {@link goneMs}. */
  const renewIdle = (): void => {
    if (goneMs(link.version) === 0) return
    for (const lane of lanes.values()) {
      const { id, leaving, held, buffer, heardAt } = lane
      if (leaving || moving.has(id) || held.size > 0 || buffer.length > 0 || clock.now() - heardAt < IDLE_MS) continue
      move(
        id,
        giveUp(lane).then(() => take(id)),
      )
    }
  }
  let binding: Timer | undefined
  const rebind = (): void => {
    if (settings.rebindMs === 0 || broken || closing) return
    binding = clock.timer(settings.rebindMs, () => {
      session.rebind(layout, group).then(rebind, (error: unknown) => {
        // What it hangs on is gone: it has to be set up again.
        if (!closing) breakUp(rabbitError(error))
      })
    })
  }
  const reconcile = (): void => {
    if (!members || broken || closing || draining) return
    const mine = new Set(share(members.names(), partitions).get(me))
    for (let id = 0; id < partitions; id++) {
      if (moving.has(id)) continue
      const lane = lanes.get(id)
      if (mine.has(id) && !lane) move(id, take(id))
      else if (!mine.has(id) && lane) move(id, handOver(lane))
    }
  }

  const release = (token: Token): void => {
    // Where order is promised it goes back with its lane.
    if (!keyed && draining) token.lane.giveBack(token.message)
    drop(token)
  }
  const settle = createSettle({ session, layout, durable: source.durable, release, settled: forget })

  const hand = (max: number): readonly Delivery[] => {
    const found: Delivery[] = []
    const all = [...lanes.values()].filter(({ leaving, buffer }) => !leaving && buffer.length > 0)
    const now = clock.now()
    for (const lane of all) lane.heardAt = now
    for (let index = 0; all.length > 0 && found.length < max && handed < maxInFlight;) {
      if (handed > 0 && bytes >= source.maxBytes) break
      const at = (turn + index) % all.length
      const lane = all[at] as Lane
      const message = lane.buffer.shift()
      if (!message) break
      if (lane.buffer.length === 0) all.splice(at, 1)
      else index++
      const token = lane.token(message)
      handed++
      bytes += token.bytes
      found.push({
        message: fromNative(message, layout.options, timeIn),
        token,
        lane: keyed ? String(lane.id) : '0',
        position: token.position,
        count: countOf(message),
        leaseMs: null,
      })
    }
    turn++
    return found
  }
  const receive = async (max: number, { signal }: Call): Promise<readonly Delivery[]> => {
    const until = clock.now() + WAIT_MS
    for (;;) {
      if (broken) throw broken
      if (signal.aborted || draining || closing) return NONE
      const found = hand(max)
      if (found.length > 0) return found
      const left = until - clock.now()
      if (left <= 0) {
        // Nothing was pushed: that the broker is there has to be asked.
        await link.ping()
        renewIdle()
        return NONE
      }
      await bell.heard(left, signal)
      // What came with it in one piece is handed over in one piece.
      await clock.turn()
    }
  }
  const unwatch = link.onDead((error) => {
    breakUp(error)
    lose([...lanes.values()].flatMap(({ held }) => listChain(held)))
    lanes.clear()
  })
  const close = async (): Promise<void> => {
    unwatch()
    members?.leave()
    wake()
    await Promise.all(moving.values())
    const open = [...lanes.values()]
    for (const lane of open) for (const token of listChain(lane.held)) drop(token)
    lanes.clear()
    await Promise.all([...open.map((lane) => lane.close()), ...ends])
    members?.stop()
    binding?.cancel()
    broken ??= feedBroken('The feed is closed.')
  }

  try {
    if (keyed) {
      const joined = await joinMembers({
        link,
        clock,
        exchange: names.members(group),
        beatMs: settings.memberBeatMs,
        holds: () => [...lanes.keys()],
        onChange: () => reconcile(),
      })
      ;({ members, name: me } = joined)
      reconcile()
      await Promise.all(moving.values())
    } else await take(0)
    if (broken) throw broken
    rebind()
  } catch (error) {
    unwatch()
    members?.stop()
    for (const lane of lanes.values()) void giveUp(lane)
    throw error
  }
  return {
    get most() {
      return keyed ? prefetch * Math.max(1, lanes.size) : (lanes.get(0)?.prefetch ?? prefetch)
    },
    receive,
    async settle(batch, call) {
      if (call.signal.aborted) throw aborted('no')
      return settle(batch, call)
    },
    state: () => ({
      connected: broken === undefined && link.dead === undefined,
      lanes: keyed ? [...lanes.values()].filter(({ leaving }) => !leaving).map(({ id }) => String(id)) : null,
      buffered: [...lanes.values()].reduce((sum, { buffer }) => sum + buffer.length, 0),
    }),
    backlog: (call) => {
      const mine = [...lanes.keys()].filter((id) => !members?.heldByOther(id)).map((id) => layout.queue(group, id))
      return depthOf(link, mine, call)
    },
    async drain() {
      draining = true
      wake()
      members?.leave()
      await Promise.all(moving.values())
      if (keyed) {
        await Promise.all([...lanes.values()].filter(({ held }) => held.size === 0).map(giveUp))
        return
      }
      for (const lane of lanes.values()) {
        await lane.cancel()
        for (const message of lane.buffer.splice(0)) lane.giveBack(message)
      }
    },
    close: () => (closing ??= close()),
  }
}
