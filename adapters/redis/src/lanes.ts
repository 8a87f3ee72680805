// A keyed channel: a lane belongs to one member, by a lease that it renews for all its lanes at once.
import { script } from './connection.ts'
import { NO_FIELDS, type Packed } from './fields.ts'
import type { Found, Member, Reader } from './reader.ts'

/** How soon a member that lacks lanes asks again. */
const HUNGRY_MS = 200
const PROMOTE = 200
const IDLE_MS = 1000

interface Lane {
  readonly no: number
  /** All that is pending is taken again, also under our own name: the lane has just become ours. */
  all: boolean
  /** Where taking over stands in the retry stream and in the main one; empty: it is done. */
  cursors: readonly [string, string]
  /** Something went back: it is to be read again, before anything new. */
  returned: boolean
  giving: boolean
}

export function createLanesReader(member: Member): Reader {
  const { clock, link, layout, group, name, settings } = member
  const { keys, partitions } = layout
  const all = Array.from({ length: partitions }, (_, lane) => lane)
  const scripted = [
    keys.lanes(group),
    keys.due(group),
    keys.notes(group),
    keys.meta,
    ...all.map((lane) => keys.retry(group, lane)),
    ...all.map((lane) => keys.stream(lane)),
  ]
  const shared = [keys.members(group), keys.lanes(group)]
  const every = settings.laneLeaseMs / 3
  const lanes = new Map<number, Lane>()
  /** By our clock, and never later than by the server's. */
  let validUntil = 0
  let stopped = false
  let turn = 0
  let epoch: string | undefined
  let after: ReadonlyMap<string, string> = new Map()
  let lookAgainMs = IDLE_MS
  let renewal: { cancel(): void } | undefined
  let expiry: { cancel(): void } | undefined
  let reading: Promise<unknown> = Promise.resolve()

  const lose = (gone: readonly number[]): void => {
    for (const lane of gone) lanes.delete(lane)
    if (gone.length > 0) member.lostLanes(gone)
  }
  const expire = (): boolean => {
    if (lanes.size === 0 || clock.now() < validUntil) return false
    lose([...lanes.keys()])
    return true
  }
  /** Renews, takes and learns what to give. Answers when to ask again. */
  const share = async (signal?: AbortSignal): Promise<number> => {
    expire()
    const asked = clock.now()
    const answer = await link.call(script('share', shared, name, settings.laneLeaseMs, partitions, ...member.orphans), {
      signal,
    })
    if (stopped) return every
    const [own, give, hungry] = answer as readonly [readonly number[], readonly number[], number]
    // The answer may have lain in a socket for longer than the leases that it renews.
    expire()
    validUntil = asked + settings.laneLeaseMs
    lose([...lanes.keys()].filter((lane) => !own.includes(lane)))
    const before = lanes.size
    for (const no of own)
      if (!lanes.has(no)) lanes.set(no, { no, all: true, cursors: ['-', '-'], returned: false, giving: false })
    for (const no of give) {
      const lane = lanes.get(no)
      if (lane && !lane.giving) void handOver(lane)
    }
    expiry?.cancel()
    expiry = clock.timer(validUntil - clock.now(), expire)
    if (lanes.size > before) member.nudge()
    return hungry === 1 ? Math.min(HUNGRY_MS, every) : every
  }
  const again = (ms: number): void => {
    if (stopped) return
    renewal = clock.timer(ms, () => {
      // A connection that fails ends the feed; anything else may work the next time, before the leases are over.
      share().then(again, () => again(Math.min(HUNGRY_MS, every)))
    })
  }
  const handOver = async (lane: Lane): Promise<void> => {
    lane.giving = true
    // What is on its way from it must have arrived, or nobody would give it back.
    await reading
    await clock.turn()
    await member.handOver(lane.no)
    if (stopped || lanes.get(lane.no) !== lane) return
    lose([lane.no])
    // Not told, the others wait for the lease to end.
    await link.call(script('leave', shared, name, partitions, lane.no)).catch(() => undefined)
  }
  const mine = (): readonly Lane[] => [...lanes.values()].filter(({ giving }) => !giving)

  const readLanes = async (max: number): Promise<readonly Found[]> => {
    const own = mine()
    if (own.length === 0) {
      after = new Map()
      return []
    }
    const start = turn++ % own.length
    const order = [...own.slice(start), ...own.slice(0, start)]
    for (const lane of order)
      if (lane.returned && lane.cursors.every((cursor) => cursor === '')) {
        lane.cursors = ['-', '-']
        lane.all = lane.returned = false
      }
    const { orphans } = member
    const ask = script(
      'gatherLanes',
      scripted,
      group,
      name,
      max,
      PROMOTE,
      partitions,
      orphans.length,
      ...orphans,
      ...order.flatMap((lane) => [lane.no, lane.all ? '1' : '0', ...lane.cursors]),
    )
    const answer = (await link.call({ ...ask, fieldsAt: 3 })) as Gathered
    const [wait, seen, states, entries] = answer
    if (epoch !== undefined && epoch !== seen) member.rewound()
    epoch = seen
    lookAgainMs = wait < 0 ? IDLE_MS : Math.max(1, Math.min(IDLE_MS, wait))
    const next = new Map<string, string>()
    const lost: number[] = []
    for (const [no, ours, retryCursor, mainCursor, lastRetry, lastMain] of states) {
      const lane = order.find((one) => one.no === no)
      if (!lane || lanes.get(no) !== lane) continue
      if (ours === 0) lost.push(no)
      lane.cursors = [retryCursor, mainCursor]
      if (lastMain.length === 0) continue
      next.set(keys.retry(group, no), lastRetry)
      next.set(keys.stream(no), lastMain)
    }
    after = next
    lose(lost)
    return entries
      .map(([stream, id, fields, count, note, no]): Found => ({
        where: stream === 1 ? 'r' : 'm',
        lane: no,
        id,
        fields: fields ?? NO_FIELDS,
        count,
        note,
      }))
      .filter(({ lane }) => lanes.has(lane))
  }

  return {
    async start(signal) {
      again(await share(signal))
    },
    read(max) {
      const work = readLanes(max)
      reading = work.catch(() => undefined)
      return work
    },
    get after() {
      return after
    },
    get lookAgainMs() {
      return lookAgainMs
    },
    get lanes() {
      return [...lanes.keys()].toSorted((a, b) => a - b)
    },
    valid: () => !expire(),
    returned(no) {
      const lane = lanes.get(no)
      if (lane) lane.returned = true
    },
    changed() {},
    stop() {
      stopped = true
      renewal?.cancel()
      expiry?.cancel()
    },
    async leave() {
      lanes.clear()
      await link.call(script('leave', shared, name, partitions))
    },
  }
}

type Gathered = readonly [
  wait: number,
  epoch: string,
  states: readonly (readonly [
    lane: number,
    ours: 0 | 1,
    retryCursor: string,
    mainCursor: string,
    lastRetry: string,
    lastMain: string,
  ])[],
  entries: readonly (readonly [
    stream: 1 | 2,
    id: string,
    fields: Packed | null,
    count: number,
    note: string | null,
    lane: number,
  ])[],
]
