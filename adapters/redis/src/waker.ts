// Who waits for new entries is woken by one blocked read that all feeds of an adapter share. It takes nothing, so nothing
// can be lost with its answer; and when it fails the feeds only look a second later.
import {
  type Call,
  type Clock,
  createChain,
  joinChain,
  leaveChain,
  type Linked,
  listChain,
  shiftChain,
  sleep,
} from '@polybus/core'
import { command, type Link } from './connection.ts'
import { closed } from './errors.ts'

export interface Waker {
  /** Calls `wake` once one of the streams has an entry after its id, or at the end; not after it was stopped by what it answers. */
  watch(after: ReadonlyMap<string, string>, wake: () => void): () => void
  close(): void
}

interface Waiter extends Linked<Waiter> {
  /** Where it stands in each stream. */
  readonly places: ReadonlyMap<string, string>
  readonly wake: () => void
}

const BLOCK_MS = 1000
const AGAIN_MS = 5
const REOPEN_MS = 1000

/** @param open makes the connection that blocks. @param commands carries the interruption. */
export function createWaker(clock: Clock, commands: Link, open: (call: Call) => Promise<Link>): Waker {
  const waiters = createChain<Waiter>()
  const closing = new AbortController()
  let running = false
  /** What the read that is under way covers. */
  let covered: ReadonlyMap<string, string> | undefined
  let id: number | undefined
  let link: Link | undefined
  let interrupting = false

  const connection = async (): Promise<Link> => {
    if (link && !link.dead) return link
    link = await open(closing)
    id = Number(await link.call(command('CLIENT', [], 'ID')))
    return link
  }
  /** A member without lanes waits for nothing but its time. */
  const someWait = (): boolean => listChain(waiters).some(({ places }) => places.size > 0)
  const wanted = (): Map<string, string> => {
    const all = new Map<string, string>()
    for (const { places } of listChain(waiters))
      for (const [key, from] of places) {
        const other = all.get(key)
        if (other === undefined || isBefore(from, other)) all.set(key, from)
      }
    return all
  }
  const loop = async (): Promise<void> => {
    while (someWait() && !closing.signal.aborted) {
      try {
        const to = await connection()
        const reading = wanted()
        if (reading.size === 0) continue
        covered = reading
        const found = await to.call(
          {
            args: ['XREAD', 'COUNT', 1, 'BLOCK', BLOCK_MS, 'STREAMS', ...reading.keys(), ...reading.values()],
            keys: [...reading.keys()],
            fieldsAt: 4,
          },
          { blockMs: BLOCK_MS },
        )
        covered = undefined
        wakeFor(found)
      } catch {
        // Whatever it was, the feeds' own calls meet it too, and say so: here it only costs a second.
        covered = undefined
        await sleep(clock, REOPEN_MS, closing.signal)
      }
    }
  }
  const wakeFor = (found: unknown): void => {
    if (!Array.isArray(found)) return
    for (const [name, entries] of found as [stream: string, [id: string, fields: unknown][]][]) {
      const at = entries[0]?.[0] ?? ''
      for (const waiter of listChain(waiters)) {
        const from = waiter.places.get(name)
        if (from === undefined || !isBefore(from, at)) continue
        if (leaveChain(waiters, waiter)) waiter.wake()
      }
    }
  }
  const start = (): void => {
    if (running) return
    running = true
    // The loop catches all that can go wrong in it.
    void loop().finally(() => {
      running = false
      if (someWait() && !closing.signal.aborted) start()
    })
  }
  const covers = (after: ReadonlyMap<string, string>): boolean => {
    for (const [key, from] of after) {
      const has = covered?.get(key)
      if (has === undefined || isBefore(from, has)) return false
    }
    return true
  }
  const lacks = (): boolean => covered !== undefined && listChain(waiters).some(({ places }) => !covers(places))
  /** Ends the read under way, so that the next one covers all. Who comes while it is on its way may need another. */
  const interrupt = async (): Promise<void> => {
    if (interrupting) return
    interrupting = true
    try {
      while (lacks() && !commands.dead) {
        const blocked = covered
        await commands.call(command('CLIENT', [], 'UNBLOCK', id ?? 0))
        // It comes before what it should interrupt, or the end of that is still on its way.
        if (covered === blocked) await new Promise<void>((resolve) => clock.timer(AGAIN_MS, resolve))
      }
    } catch {
      // Not permitted, or the connection is gone: then the read ends by itself within a second.
    }
    interrupting = false
  }

  return {
    watch(after, wake) {
      const waiter: Waiter = { places: after, wake, before: undefined, after: undefined }
      joinChain(waiters, waiter)
      if (after.size > 0) {
        if (!running) start()
        else if (covered !== undefined && !covers(after)) void interrupt()
      }
      return () => void leaveChain(waiters, waiter)
    },
    close() {
      closing.abort()
      for (let waiter = shiftChain(waiters); waiter; waiter = shiftChain(waiters)) waiter.wake()
      link?.end(commands.dead ?? closed())
    },
  }
}

/** Entry ids in order: milliseconds, then sequence. */
export function isBefore(a: string, b: string): boolean {
  const [ams = '0', aseq = '0'] = a.split('-')
  const [bms = '0', bseq = '0'] = b.split('-')
  const ms = Number(ams) - Number(bms)
  return ms < 0 || (ms === 0 && Number(aseq) < Number(bseq))
}
