// A channel without keys: one stream, which all members read. A delivery is leased by its own idle time.
import { type Link, script } from './connection.ts'
import { NO_FIELDS, type Packed } from './fields.ts'
import { RELEASED } from './names.ts'
import type { Found, Member, Reader } from './reader.ts'

/** While new entries come without end, how often the rest is looked at. */
const GATHER_EVERY_MS = 200
const OVERDUE_EVERY_MS = 1000
const PROMOTE = 200

/** Above the lease by what two clocks may run apart. */
export const minIdleMs = (leaseMs: number): number => leaseMs + Math.max(50, Math.ceil(leaseMs / 20))

export function createPlainReader(member: Member): Reader {
  const { clock, link, layout, group, name, settings } = member
  const { keys } = layout
  const [main, retry] = [keys.stream(0), keys.retry(group, 0)]
  const scripted = [main, retry, keys.due(group), keys.notes(group), keys.meta]
  const minIdle = minIdleMs(settings.leaseMs)
  const overdueEvery = Math.min(OVERDUE_EVERY_MS, settings.leaseMs / 2)
  let gatherAt = 0
  let overdueAt = 0
  let lookAgainAt = 0
  let epoch: string | undefined
  let after: ReadonlyMap<string, string> = new Map()
  /**
   * The read before brought something: where it ended is known without asking. Where others of the group have read further, a
   * wait from there ends at once.
   */
  let flowing = true
  /** It brought one, and could have brought more. */
  let alone = false
  /** By ourselves, since the last gathering: something may be due now, or anybody's. */
  let changed = false

  const mustGather = (): boolean => changed || clock.now() >= gatherAt
  const gather = async (max: number): Promise<Found[]> => {
    const now = clock.now()
    changed = false
    const overdue = now >= overdueAt
    if (overdue) overdueAt = now + overdueEvery
    const answer = (await link.call({
      ...script(
        'gather',
        scripted,
        group,
        name,
        max,
        minIdle,
        overdue ? '1' : '0',
        PROMOTE,
        RELEASED,
        ...member.orphans,
      ),
      fieldsAt: 3,
    })) as Gathered
    const [wait, seen, lastRetry, lastMain, done, entries] = answer
    if (done.length > 0) member.adopted(done)
    if (epoch !== undefined && epoch !== seen) member.rewound()
    epoch = seen
    // What is left of an earlier connection of ours goes before anything new, as soon as there is room for it.
    const due = member.orphans.length > 0 ? 0 : wait < 0 ? Infinity : wait
    gatherAt = now + Math.min(GATHER_EVERY_MS, due)
    // Of a dead member's there may be more than one look takes.
    if (overdue && entries.length === max && entries.some(([, , , count]) => count > 1)) gatherAt = overdueAt = now
    lookAgainAt = now + Math.max(1, Math.min(due, overdueAt - now))
    if (entries.length === 0)
      after = new Map([
        [retry, lastRetry],
        [main, lastMain],
      ])
    return entries.map(([stream, id, fields, count, note]) => ({
      where: stream === 1 ? 'r' : 'm',
      lane: 0,
      id,
      fields: fields ?? NO_FIELDS,
      count,
      note,
    }))
  }

  return {
    async start(signal) {
      await link.call(script('idle', [keys.meta], group, minIdle), { signal })
    },
    async read(max) {
      const known = flowing && after.size > 0 && !mustGather()
      // There was but one, so the next is not there yet: to look before waiting for it would cost an exchange.
      if (known && alone) {
        flowing = false
        return []
      }
      // What is new goes first after a wait, which it has most likely ended.
      const gathered = flowing && mustGather()
      const found = gathered ? await gather(max) : []
      const fresh = found.length < max ? await readNew(link, group, name, main, max - found.length) : []
      found.push(...fresh)
      const last = fresh.at(-1)
      if (last && after.size > 0) after = new Map(after).set(main, last.id)
      if (found.length === 0 && !gathered && !known) found.push(...(await gather(max)))
      flowing = found.length > 0
      alone = found.length === 1 && max > 1
      return found
    },
    get after() {
      return after
    },
    get lookAgainMs() {
      return Math.max(1, lookAgainAt - clock.now())
    },
    lanes: null,
    valid: () => true,
    returned() {},
    changed() {
      changed = true
    },
    stop() {},
    leave: () => Promise.resolve(),
  }
}

type Entry = readonly [id: string, fields: Packed | null]
type Gathered = readonly [
  wait: number,
  epoch: string,
  lastRetry: string,
  lastMain: string,
  done: readonly string[],
  entries: readonly (readonly [1 | 2, ...Entry, count: number, note: string | null])[],
]

/** Without a script: Lua would copy each entry twice, for a third of the throughput. */
async function readNew(link: Link, group: string, name: string, stream: string, max: number): Promise<Found[]> {
  const answer = (await link.call({
    args: ['XREADGROUP', 'GROUP', group, name, 'COUNT', max, 'STREAMS', stream, '>'],
    keys: [stream],
    fieldsAt: 4,
  })) as readonly [stream: string, entries: readonly Entry[]][] | null
  const entries = answer?.[0]?.[1] ?? []
  return entries.map(([id, fields]) => ({ where: 'm', lane: 0, id, fields: fields ?? NO_FIELDS, count: 1, note: null }))
}
