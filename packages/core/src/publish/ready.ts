// What may be sent next: keyless entries in order, and of each key its first one, behind which the others wait.
import type { SendLimits } from '../adapter.ts'
import { type Backlog, createBacklog } from '../backlog.ts'
import { type Entry, type KeyLane, leaveLane } from './entry.ts'

export interface Ready {
  push(entry: Entry): void
  /** The next batch; its keys are blocked until they are freed. */
  take(limits: SendLimits): Entry[]
  /** The first that is not yet being sent. */
  oldest(): Entry | undefined
  /** These go again: keyed ones at the head of their keys, which stay blocked; keyless ones at the head of all. */
  again(entries: readonly Entry[]): void
  free(key: KeyLane): void
  /** One that was queued was given up: while the broker is away nothing else takes those out. */
  gaveUp(): void
  readonly size: number
}

/** So many settled entries may stand among the others before they are taken out. */
const STALE = 1024

const isQueued = ({ state }: Entry): boolean => state === 'queued'

export function createReady(): Ready {
  // Were a key's entries spread over this list, one that goes again could not be put before those already in it.
  const list: Backlog<Entry> = createBacklog()
  let stale = 0

  const first = (): Entry | undefined => {
    for (let entry = list.peek(); entry; entry = list.peek()) {
      if (isQueued(entry)) return entry
      list.shift()
      if (entry.key) relist(entry.key)
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
    take({ messages, bytes }) {
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
        add(entry)
        const { key } = entry
        if (!key) continue
        key.listed = false
        key.blocked = true
        if (!key.together) continue
        for (let next = firstOf(key); fits(next); next = firstOf(key)) {
          key.behind?.shift()
          add(next)
        }
      }
      return batch
    },
    oldest: first,
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
    gaveUp() {
      if (++stale < STALE || stale * 2 < list.size) return
      stale = 0
      const emptied: KeyLane[] = []
      list.retain((entry) => {
        const { key } = entry
        key?.behind?.retain(isQueued)
        if (isQueued(entry)) return true
        if (key) emptied.push(key)
        return false
      })
      for (const key of emptied) relist(key)
    },
    get size() {
      return list.size
    },
  }
}
