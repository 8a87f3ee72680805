// The publish buffer: how much may wait, for how long, and how each publish ends that is not answered.
import type { Outgoing } from '../adapter.ts'
import type { PublishReceipt } from '../api.ts'
import { type Backlog, createBacklog } from '../backlog.ts'
import { createDeadlines, type Deadlines } from '../deadlines.ts'
import { PolybusError } from '../errors.ts'
import { type BatchesOptions, createBatches } from './batches.ts'
import { type Entry, type GivenUp, givenUp, type KeyLane, laneOf, leaveLane } from './entry.ts'

export interface QueueOptions extends Omit<BatchesOptions, 'finish'> {
  readonly bufferMessages: number
  readonly bufferBytes: number
  readonly whenFull: 'wait' | 'reject' | 'drop-oldest'
}

export interface NewEntry {
  readonly outgoing: Outgoing
  readonly bytes: number
  readonly key: KeyLane | undefined
  readonly timeoutMs: number
  /** When the time-out ends, where it began before now. */
  readonly deadlineAt?: number
  readonly signal: AbortSignal | undefined
}

export interface Queue {
  add(entry: NewEntry): Promise<PublishReceipt>
  lane(lanes: Map<string, KeyLane>, key: string, together: boolean): KeyLane
  online(up: boolean): void
  /** Resolves when nothing is under way; at the signal what is left is rejected. */
  close(signal: AbortSignal): Promise<void>
  readonly size: number
  /** See {@link createBatches}. */
  abandon(olderThanMs: number): boolean
}

const STALE = 1024
export function createQueue(options: QueueOptions): Queue {
  const { clock, bufferMessages, bufferBytes, whenFull } = options
  const waiting: Backlog<Entry> = createBacklog()
  const deadlines = new Map<number, Deadlines<Entry>>()
  /** Given up among those that wait. */
  let stale = 0
  let messages = 0
  let bytes = 0
  let closing = false
  let drained: (() => void) | undefined

  /** Ends an entry. A `send` that is still under way goes on; its answer finds the entry settled. */
  const finish = (entry: Entry): void => {
    const { state, key } = entry
    entry.state = 'settled'
    entry.deadlines.remove(entry)
    if (entry.onAbort) entry.signal?.removeEventListener('abort', entry.onAbort)
    if (key) {
      key.live--
      leaveLane(key)
    }
    if (state === 'waiting') {
      // Behind one that waits long the others must not pile up.
      if (++stale >= STALE && stale * 2 >= waiting.size) {
        stale = 0
        waiting.retain((other) => other.state === 'waiting')
      }
      return
    }
    messages--
    bytes -= entry.bytes
    if (waiting.size > 0) admitWaiting()
    if (drained && messages === 0 && waiting.size === 0) drained()
  }
  const batches = createBatches({ ...options, finish })

  /** A list for each time-out in use: within one, deadlines come in order. */
  const deadlinesOf = (timeoutMs: number): Deadlines<Entry> => {
    let list = deadlines.get(timeoutMs)
    if (!list) {
      for (const [ms, other] of deadlines) if (other.size === 0) deadlines.delete(ms)
      list = createDeadlines<Entry>(clock, (entry) => giveUp(entry, 'PUBLISH_TIMEOUT'))
      deadlines.set(timeoutMs, list)
    }
    return list
  }
  const fits = (size: number): boolean => messages === 0 || (messages < bufferMessages && bytes + size <= bufferBytes)
  const admit = (entry: Entry): void => {
    entry.state = 'queued'
    messages++
    bytes += entry.bytes
    batches.push(entry)
  }
  const admitWaiting = (): void => {
    for (let next = waiting.peek(); next && (next.state === 'settled' || fits(next.bytes)); next = waiting.peek()) {
      waiting.shift()
      if (next.state === 'waiting') admit(next)
    }
    batches.flush()
  }
  const giveUp = (entry: Entry, why: GivenUp, cause?: unknown): void => {
    if (entry.state === 'settled') return
    const error = givenUp(entry, why, cause)
    if (entry.state === 'queued') batches.gaveUp(entry)
    // Until it is taken out it keeps its place in a list, but not its body.
    if (entry.state !== 'sending') entry.outgoing = withoutContent(entry.outgoing)
    finish(entry)
    entry.reject(error)
  }
  /** Makes room as configured; the error where there is none. */
  const makeRoom = (size: number): PolybusError | undefined => {
    while (!fits(size)) {
      const oldest = whenFull === 'drop-oldest' ? batches.oldestQueued() : undefined
      if (!oldest)
        return new PolybusError(
          'BUFFER_FULL',
          `The publish buffer is full (${messages} messages, ${bytes} bytes). Wait for earlier publishes, or raise publishing.bufferMessages or bufferBytes.`,
          { sent: 'no' },
        )
      giveUp(oldest, 'DROPPED')
    }
    return undefined
  }

  return {
    add: (fresh) =>
      new Promise((resolve, reject) => {
        if (closing)
          return reject(
            new PolybusError(
              'CLOSED',
              'The bus is closed: nothing was published. Publish before close(), or on a new bus from connect().',
              { sent: 'no' },
            ),
          )
        const { signal, timeoutMs, deadlineAt = clock.now() + timeoutMs } = fresh
        if (signal?.aborted)
          return reject(
            new PolybusError('ABORTED', 'The signal was aborted before the message was sent.', {
              cause: signal.reason,
              sent: 'no',
            }),
          )
        const mustWait = whenFull === 'wait' && (waiting.size > 0 || !fits(fresh.bytes))
        const full = mustWait ? undefined : makeRoom(fresh.bytes)
        if (full) return reject(full)
        const entry: Entry = {
          outgoing: fresh.outgoing,
          bytes: fresh.bytes,
          key: fresh.key,
          timeoutMs,
          state: 'waiting',
          uncertain: false,
          tries: 0,
          failure: undefined,
          deadlines: deadlinesOf(timeoutMs),
          resolve,
          reject,
          signal,
          onAbort: undefined,
          dueAt: 0,
          duePrevious: undefined,
          dueNext: undefined,
          dueListed: false,
        }
        // From here on, or a lane could be made anew beside the one that a waiting entry is to take.
        if (entry.key) entry.key.live++
        if (mustWait) waiting.push(entry)
        else admit(entry)
        entry.deadlines.add(entry, deadlineAt)
        if (signal) {
          const onAbort = (): void => giveUp(entry, 'ABORTED', signal.reason)
          entry.onAbort = onAbort
          signal.addEventListener('abort', onAbort)
        }
        batches.flush()
      }),
    lane: laneOf,
    online: batches.online,
    close(signal) {
      closing = true
      return new Promise((resolve) => {
        const end = (): void => {
          signal.removeEventListener('abort', abort)
          drained = undefined
          batches.close()
          resolve()
        }
        const abort = (): void => {
          drained = undefined
          for (const list of deadlines.values()) list.drain((entry) => giveUp(entry, 'CLOSED'))
          end()
        }
        drained = end
        if (messages === 0 && waiting.size === 0) return end()
        if (signal.aborted) return abort()
        signal.addEventListener('abort', abort)
      })
    },
    get size() {
      return messages + waiting.size
    },
    abandon: batches.abandon,
  }
}

const withoutContent = (outgoing: Outgoing): Outgoing => ({
  ...outgoing,
  message: { ...outgoing.message, headers: [], body: null },
})
