// What may be sent next: keyless entries in order, and of each key its first one, behind which the others wait.
import type { SendLimits } from '../adapter.ts'
import { type Backlog, createBacklog } from '../backlog.ts'
import { type Entry, type KeyLane, leaveLane } from './entry.ts'

export interface Ready {
  push(entry: Entry): void
  /**
   * The next batch; its keys are blocked until they are freed. Keyless entries of which `inTime` says no go last, when there
   * is nothing else.
   */
  take(limits: SendLimits, inTime: (entry: Entry) => boolean): Entry[]
  /** The first that is not yet being sent. */
  oldest(): Entry | undefined
  /** These go again: keyed ones at the head of their keys, which stay blocked; keyless ones at the head of all. */
  again(entries: readonly Entry[]): void
  free(key: KeyLane): void
  /** One that was queued was given up: while the broker is away nothing else takes those out. */
  gaveUp(entry: Entry): void
  readonly size: number
}

/** So many settled entries may stand among the others before they are taken out. */
const STALE = 1024

const isQueued = ({ state }: Entry): boolean => state === 'queued'

export function createReady(): Ready {
  // Were a key's entries spread over this list, one that goes again could not be put before those already in it.
  const list: Backlog<Entry> = createBacklog()
  /** Keyless ones that an answer would probably reach too late: they go when nothing else wants to. */
  const late: Backlog<Entry> = createBacklog()
  let stale = 0

  const first = (): Entry | undefined => {
    for (let entry = list.peek(); entry; entry = list.peek()) {
      if (isQueued(entry)) return entry
      list.shift()
      if (entry.key) relist(entry.key)
    }
    return undefined
  }
  const firstLate = (): Entry | undefined => {
    for (let entry = late.peek(); entry; entry = late.peek()) {
      if (isQueued(entry)) return entry
      late.shift()
    }
    return undefined
  }
  const firstOf = ({ behind }: KeyLane): Entry | undefined => {
    while (behind && behind.size > 0) {
      const entry = behind.peek() as Entry
      if (isQueued(entry)) return entry
      behind.shift()
    }
    return undefined
  }
  /** The key's next one stands for it, at the end. */
  const relist = (key: KeyLane): void => {
    const next = key.blocked ? undefined : firstOf(key)
    key.listed = next !== undefined
    if (!next) return leaveLane(key)
    key.behind?.shift()
    list.push(next)
  }

  return {
    push(entry) {
      const { key } = entry
      if (key?.blocked || key?.listed) return (key.behind ??= createBacklog()).push(entry)
      if (key) key.listed = true
      list.push(entry)
    },
    take({ messages, bytes }, inTime) {
      const batch: Entry[] = []
      let size = 0
      const fits = (entry: Entry | undefined): entry is Entry =>
        entry !== undefined && batch.length < messages && (batch.length === 0 || size + entry.bytes <= bytes)
      const add = (entry: Entry): void => {
        batch.push(entry)
        size += entry.bytes
        entry.state = 'sending'
      }
      for (let entry = first(); fits(entry); entry = first()) {
        list.shift()
        const { key } = entry
        if (!key) {
          if (inTime(entry)) add(entry)
          else late.push(entry)
          continue
        }
        add(entry)
        key.listed = false
        key.blocked = true
        if (!key.together) continue
        for (let next = firstOf(key); fits(next); next = firstOf(key)) {
          key.behind?.shift()
          add(next)
        }
      }
      if (list.size > 0) return batch
      for (let entry = firstLate(); fits(entry); entry = firstLate()) {
        late.shift()
        add(entry)
      }
      return batch
    },
    oldest: () => firstLate() ?? first(),
    again(entries) {
      const keyless: Entry[] = []
      const byKey = new Map<KeyLane, Entry[]>()
      for (const entry of entries) {
        const same = entry.key ? byKey.get(entry.key) : keyless
        if (same) same.push(entry)
        else byKey.set(entry.key as KeyLane, [entry])
      }
      for (const [key, own] of byKey) (key.behind ??= createBacklog()).unshift(own)
      list.unshift(keyless.filter(isQueued))
    },
    free(key) {
      key.blocked = false
      relist(key)
    },
    gaveUp({ key }) {
      // Behind a key that is being sent the list does not reach.
      if (key?.blocked && ++key.stale >= STALE && key.stale * 2 >= (key.behind?.size ?? 0)) {
        key.stale = 0
        key.behind?.retain(isQueued)
      }
      if (++stale < STALE || stale * 2 < list.size + late.size) return
      stale = 0
      late.retain(isQueued)
      const emptied: KeyLane[] = []
      list.retain((entry) => {
        const { key: own } = entry
        own?.behind?.retain(isQueued)
        if (isQueued(entry)) return true
        if (own) emptied.push(own)
        return false
      })
      for (const own of emptied) relist(own)
    },
    get size() {
      return list.size + late.size
    },
  }
}
