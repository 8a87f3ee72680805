// The one oracle. Publishers, handlers and the seam tell it what happened; after a case it says what may not have been.

type Id = string
/** `channel/group`; neither can hold a slash. */
export type GroupName = string

interface Published {
  readonly channel: string
  readonly id: Id
  readonly key: string | undefined
  readonly publisher: object
  state: 'pending' | 'resolved' | 'not-sent' | 'uncertain' | 'rejected'
}

/** One start of a handler. */
export interface Run {
  readonly id: Id
  readonly attempt: number
  readonly consumer: string
  readonly startedAt: number
  endedAt: number | undefined
  outcome: 'running' | 'success' | 'failure'
}

interface GroupBook {
  readonly runs: Run[]
  /** Ids in the order of their first success. */
  readonly successes: Map<Id, number>
  /** Every message that was moved to the dead letters at some time. */
  readonly deadLettered: Set<Id>
  /** A store promises that no effect happens twice. */
  once: boolean
  /** Loss, order or repeats that the case itself caused. */
  readonly excused: { loss: boolean; order: boolean; repeats: Set<Id> | 'all' | undefined }
}

export interface Ledger {
  /** Call before `publish`, so that the order of calls is known. */
  publishing(
    publisher: object,
    channel: string,
    id: Id,
    key: string | undefined,
  ): (error?: { sent?: 'no' | 'unknown' | undefined }) => void
  /** This group must get every message of the channel. */
  expect(channel: string, group: string, options?: { once?: boolean }): void
  started(
    channel: string,
    group: string,
    run: { id: Id; attempt: number; consumer: string },
  ): (failed?: boolean) => void
  deadLettered(channel: string, group: string, id: Id): void
  excuse(channel: string, group: string, what: { loss?: true; order?: true; repeats?: readonly Id[] | true }): void
  runs(channel: string, group: string): readonly Run[]
  /** Ids that succeeded at least once, in the order of their first success. */
  handled(channel: string, group: string): readonly Id[]
  resolved(channel: string): readonly Id[]
  /** Resolved publishes that this group has neither handled nor (as far as the seam saw) dead-lettered. */
  open(channel: string, group: string): readonly Id[]
  groups(): readonly { channel: string; group: string }[]
  /** What breaks the invariant. `deadLetters`: the ids that lie on the broker now. */
  violations(deadLetters: (channel: string, group: string) => ReadonlySet<Id>): readonly string[]
}

export function createLedger(now: () => number): Ledger {
  const published: Published[] = []
  const books = new Map<GroupName, GroupBook>()
  const expected = new Set<GroupName>()

  const book = (channel: string, group: string): GroupBook => {
    const name = `${channel}/${group}`
    const known = books.get(name)
    if (known) return known
    const fresh: GroupBook = {
      runs: [],
      successes: new Map(),
      deadLettered: new Set(),
      once: false,
      excused: { loss: false, order: false, repeats: undefined },
    }
    books.set(name, fresh)
    return fresh
  }
  const groups = (): { channel: string; group: string }[] =>
    [...expected].map((name) => ({
      channel: name.slice(0, name.indexOf('/')),
      group: name.slice(name.indexOf('/') + 1),
    }))
  const resolved = (channel: string): Id[] =>
    published.filter((entry) => entry.channel === channel && entry.state === 'resolved').map(({ id }) => id)

  return {
    publishing(publisher, channel, id, key) {
      const entry: Published = { channel, id, key, publisher, state: 'pending' }
      published.push(entry)
      return (error) => {
        entry.state = !error
          ? 'resolved'
          : error.sent === 'no'
            ? 'not-sent'
            : error.sent === 'unknown'
              ? 'uncertain'
              : 'rejected'
      }
    },
    expect(channel, group, { once = false } = {}) {
      expected.add(`${channel}/${group}`)
      if (once) book(channel, group).once = true
    },
    started(channel, group, { id, attempt, consumer }) {
      const { runs, successes } = book(channel, group)
      const run: Run = { id, attempt, consumer, startedAt: now(), endedAt: undefined, outcome: 'running' }
      runs.push(run)
      return (failed = false) => {
        run.endedAt = now()
        run.outcome = failed ? 'failure' : 'success'
        if (!failed && !successes.has(id)) successes.set(id, successes.size)
      }
    },
    deadLettered: (channel, group, id) => void book(channel, group).deadLettered.add(id),
    excuse(channel, group, { loss, order, repeats }) {
      const { excused } = book(channel, group)
      excused.loss ||= loss ?? false
      excused.order ||= order ?? false
      if (repeats === true) excused.repeats = 'all'
      else if (repeats && excused.repeats !== 'all') excused.repeats = new Set([...(excused.repeats ?? []), ...repeats])
    },
    runs: (channel, group) => book(channel, group).runs,
    handled: (channel, group) => [...book(channel, group).successes.keys()],
    resolved,
    open(channel, group) {
      const { successes, deadLettered, excused } = book(channel, group)
      return excused.loss ? [] : resolved(channel).filter((id) => !successes.has(id) && !deadLettered.has(id))
    },
    groups,
    violations(deadLetters) {
      return groups().flatMap(({ channel, group }) => {
        const its = published.filter((entry) => entry.channel === channel)
        return check(its, book(channel, group), deadLetters(channel, group)).map(
          (text) => `${channel}/${group}: ${text}`,
        )
      })
    },
  }
}

function check(published: readonly Published[], book: GroupBook, deadLetters: ReadonlySet<Id>): string[] {
  const { successes, deadLettered, excused, runs, once } = book
  const texts: string[] = []
  const add = (ids: readonly Id[], text: string): void => {
    if (ids.length > 0) texts.push(`${ids.length} ${text}: ${ids.slice(0, 5).join(', ')}`)
  }
  if (!excused.loss) {
    const lost = published.filter(({ state, id }) => state === 'resolved' && !successes.has(id) && !deadLetters.has(id))
    add(
      lost.map(({ id }) => id),
      'resolved publishes neither handled nor in the dead letters',
    )
  }
  const delivered = new Set([...runs.map(({ id }) => id), ...deadLettered, ...deadLetters])
  // An id that was published again may be there for another reason than the rejected call.
  const good = new Set(published.filter(({ state }) => state !== 'not-sent').map(({ id }) => id))
  add(
    published.filter(({ state, id }) => state === 'not-sent' && !good.has(id) && delivered.has(id)).map(({ id }) => id),
    'rejected as certainly not sent, yet delivered',
  )
  if (once && excused.repeats !== 'all') {
    const counts = new Map<Id, number>()
    for (const run of runs) if (run.outcome === 'success') counts.set(run.id, (counts.get(run.id) ?? 0) + 1)
    const allowed = excused.repeats
    add(
      [...counts].filter(([id, count]) => count > 1 && !allowed?.has(id)).map(([id]) => id),
      'effects happened twice',
    )
  }
  if (!excused.order) texts.push(...orderViolations(published, book))
  return texts
}

/** The first success of a message before the first success of an earlier one of its key, dead-lettered ones excepted. */
function orderViolations(published: readonly Published[], { successes, deadLettered }: GroupBook): string[] {
  const latest = new Map<object, Map<string, { id: Id; at: number }>>()
  const texts: string[] = []
  const seen = new Set<Id>()
  for (const { publisher, key, id, state } of published) {
    const at = successes.get(id)
    if (key === undefined || at === undefined || state !== 'resolved' || deadLettered.has(id) || seen.has(id)) continue
    seen.add(id)
    const keys = latest.get(publisher) ?? new Map<string, { id: Id; at: number }>()
    latest.set(publisher, keys)
    const before = keys.get(key)
    if (before && before.at > at) texts.push(`order of key '${key}' broken: ${id} succeeded before ${before.id}`)
    if (!before || at > before.at) keys.set(key, { id, at })
  }
  return texts.length > 3 ? [...texts.slice(0, 3), `and ${texts.length - 3} more order violations`] : texts
}
