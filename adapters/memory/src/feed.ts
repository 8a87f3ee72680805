import type { Call, Delivery, Feed, PolybusError, Source } from '@polybus/core'
import type { Broker, Connection, Group, Handed, Member } from './state.ts'
import type { Writer } from './write.ts'
import { calm, cut, through } from './connection.ts'
import { feedBroken, leaseLost } from './errors.ts'
import { join, leave, wakeLane } from './groups.ts'
import { deliverable, type HandOver, loseSome, takeFrom } from './lanes.ts'
import { createLeases } from './leases.ts'
import { createSettle } from './settle.ts'

/** How long an empty receive waits. */
const WAIT_MS = 1000
/** How long a silent broker is borne. */
const SILENCE_MS = 5000
const NONE: readonly Handed[] = []

interface Waiter {
  readonly max: number
  readonly end: (deliveries: readonly Handed[]) => void
  readonly fail: (error: PolybusError) => void
}

/** Joins the group; the feed is what its consumer holds. */
export function createFeed(writer: Writer, connection: Connection, group: Group, source: Source): Feed {
  const { broker } = writer
  const { faults, clock, abilities, limits } = broker
  const how: HandOver = { prefix: !abilities.singleSettle, leaseMs: limits.leaseMs, count: abilities.count }
  let waiter: Waiter | undefined

  const member: Member = {
    group,
    source,
    leases: createLeases(clock, (due) => lose(member, due, broker)),
    lanes: [],
    inFlight: 0,
    bytes: 0,
    turn: 0,
    crashed: false,
    draining: false,
    broken: undefined,
    wake() {
      if (!waiter || faults.paused) return
      const deliveries = take(waiter.max)
      if (deliveries.length > 0) waiter.end(deliveries)
    },
    end(error) {
      member.broken = error
      waiter?.fail(error)
    },
    revoke(tokens) {
      if (!faults.paused) return source.onRevoke(tokens)
      return new Promise((resolve, reject) => {
        faults.buffer.push(() => void source.onRevoke(tokens).then(resolve, reject))
      })
    },
    lost(tokens) {
      if (tokens.length === 0) return
      if (faults.paused && !connection.dead) faults.buffer.push(() => source.onLost(tokens))
      else source.onLost(tokens)
    },
  }

  const take = (max: number): readonly Handed[] => {
    const room = Math.min(max, source.maxInFlight - member.inFlight)
    if (room <= 0 || faults.stalled || member.draining) return NONE
    const now = clock.now()
    const { lanes } = member
    const out: Handed[] = []
    // Another lane is first each time, so that a full one does not keep the others waiting.
    const start = member.turn++
    for (let index = 0; index < lanes.length; index++) {
      const lane = lanes[(start + index) % lanes.length]
      if (!lane || (lane.orphans > 0 && group.owned)) continue
      if (!takeFrom(lane, member, room, now, how, out)) break
    }
    return out
  }

  const park = (max: number, call: Call): Promise<readonly Delivery[]> =>
    new Promise((resolve, reject) => {
      const stop = (): void => {
        timer.cancel()
        call.signal.removeEventListener('abort', abort)
        if (waiter === mine) waiter = undefined
      }
      const mine: Waiter = {
        max,
        end(deliveries) {
          stop()
          if (faults.lateMs === 0) resolve(deliveries)
          else answerLate(deliveries, call).then(resolve, reject)
        },
        fail(error) {
          stop()
          reject(error)
        },
      }
      const abort = (): void => {
        stop()
        resolve(NONE)
      }
      const empty = (): void => {
        if (!faults.paused) return mine.end(NONE)
        timer = clock.timer(SILENCE_MS - WAIT_MS, silent)
      }
      const silent = (): void => {
        if (!faults.paused) return mine.end(NONE)
        // As a client's heartbeat would: the connection is worth nothing.
        cut(broker, connection)
      }
      let timer = clock.timer(WAIT_MS, empty)
      call.signal.addEventListener('abort', abort)
      waiter = mine
      member.wake()
    })

  /** Its caller may give up waiting, and still gets what was leased for it. */
  const answerLate = (deliveries: readonly Handed[], call: Call): Promise<readonly Delivery[]> =>
    through(broker, connection, call, () => deliveries).catch((error: unknown) => {
      if (call.signal.aborted) return deliveries
      throw error
    })

  const settle = createSettle(writer, connection, member)
  connection.members.add(member)
  join(broker, member)

  const feed: Feed = {
    async receive(max, call) {
      await clock.turn()
      if (member.broken) throw member.broken
      if (call.signal.aborted) return NONE
      if (calm(broker, connection)) {
        const deliveries = take(max)
        if (deliveries.length > 0) return deliveries
      }
      return park(max, call)
    },
    settle,
    state: () => ({
      connected: connection.dead === undefined && member.broken === undefined,
      lanes: group.owned ? member.lanes.map((lane) => lane.partition.text) : null,
      buffered: 0,
    }),
    backlog: (call) => through(broker, connection, call, () => deliverable(member.lanes, clock.now())),
    drain(call) {
      member.draining = true
      waiter?.end(NONE)
      return through(broker, connection, call, () => undefined)
    },
    close() {
      if (!connection.members.delete(member)) return Promise.resolve()
      member.broken ??= feedBroken('The feed is closed.')
      if (!group.deleted) leave(broker, member, false)
      waiter?.end(NONE)
      return Promise.resolve()
    },
  }
  const { leaseMs } = limits
  if (leaseMs !== null && abilities.renew) {
    feed.extend = (tokens, call) =>
      through(broker, connection, call, () => {
        const dueAt = Math.ceil(clock.now() + leaseMs)
        return tokens.map((token) => {
          const handed = token as Handed
          if (!handed.live || handed.member !== member) return { ok: false, error: leaseLost(handed.position) }
          member.leases.remove(handed)
          member.leases.add(handed, dueAt)
          return { ok: true, value: leaseMs }
        })
      })
  }
  return feed
}

/** Leases end; the client is told, and the entries are delivered again. Returns what was lost. */
export function lose(member: Member, victims: readonly Handed[], broker: Broker): readonly Handed[] {
  const lost = loseSome(member, victims, !broker.abilities.singleSettle)
  if (!member.crashed) member.lost(lost)
  for (const lane of new Set(lost.map((handed) => handed.from))) wakeLane(lane)
  return lost
}
