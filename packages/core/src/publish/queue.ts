// Certainty and order of publishing: entries wait here, leave in batches, and settle one by one.
import type { Outgoing, Receipt, Result, SendLimits } from '../adapter.ts'
import type { Clock } from '../clock.ts'
import { createDeadlines, type Deadlines, type Due } from '../deadlines.ts'
import { asPolybusError, PolybusError } from '../errors.ts'
import { type Backlog, createBacklog } from '../backlog.ts'

/** One publish on its way. `sending` is set before `send` is called: only what never was `sending` is certainly not sent. */
export interface Entry extends Due {
  outgoing: Outgoing
  readonly bytes: number
  readonly key: KeyLane | undefined
  state: 'waiting' | 'queued' | 'sending' | 'settled'
  /** An earlier try may have written it: sticks through later ones. */
  uncertain: boolean
  tries: number
  readonly deadlines: Deadlines<Entry>
  readonly resolve: (receipt: Receipt) => void
  readonly reject: (error: PolybusError) => void
  readonly signal: AbortSignal | undefined
  onAbort: (() => void) | undefined
}

/** The FIFO of a key: one batch in flight, retries at its head. */
export interface KeyLane {
  readonly id: string
  readonly lanes: Map<string, KeyLane>
  /** Entries of the key may share a batch, because the adapter writes none behind one that failed. */
  readonly together: boolean
  blocked: boolean
  parked: Entry[]
  /** Entries that are neither settled nor given up: at 0 the lane goes. */
  live: number
}

export interface QueueOptions {
  readonly clock: Clock
  readonly limits: SendLimits
  readonly send: (batch: readonly Outgoing[], signal: AbortSignal) => Promise<readonly Result<Receipt>[]>
  readonly bufferMessages: number
  readonly bufferBytes: number
  readonly whenFull: 'wait' | 'reject' | 'drop-oldest'
  /** `send` failed as a whole: the supervisor looks after the connection, and calls `online` again. */
  readonly onBroken: (error: PolybusError) => void
}

export interface NewEntry {
  readonly outgoing: Outgoing
  readonly bytes: number
  readonly key: KeyLane | undefined
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

export interface Queue {
  add(entry: NewEntry): Promise<Receipt>
  lane(lanes: Map<string, KeyLane>, key: string, together: boolean): KeyLane
  online(up: boolean): void
  /** Resolves when nothing is under way; at the signal what is left is rejected. */
  close(signal: AbortSignal): Promise<void>
  readonly size: number
  readonly closing: boolean
  /** How long the oldest `send` has been waiting for its answer. */
  oldestSendMs(): number
}

const RETRY_FIRST_MS = 50
const RETRY_MAX_MS = 2000

export function createQueue(options: QueueOptions): Queue {
  const { clock, limits } = options
  const backlog: Backlog<Entry> = createBacklog()
  const waiting: Backlog<Entry> = createBacklog()
  const deadlines = new Map<number, Deadlines<Entry>>()
  const sends = new Set<{ readonly since: number; readonly abort: AbortController }>()
  const retries = new Set<{ cancel(): void }>()
  let messages = 0
  let bytes = 0
  let up = true
  let closing = false
  let flushing = false
  let drained: (() => void) | undefined

  const deadlinesOf = (timeoutMs: number): Deadlines<Entry> => {
    let list = deadlines.get(timeoutMs)
    if (!list) {
      for (const [ms, other] of deadlines) if (other.size === 0) deadlines.delete(ms)
      list = createDeadlines<Entry>(clock, (entry) => giveUp(entry, 'PUBLISH_TIMEOUT'))
      deadlines.set(timeoutMs, list)
    }
    return list
  }

  const fits = (entry: Entry): boolean => messages === 0 || (messages < options.bufferMessages && bytes + entry.bytes <= options.bufferBytes)

  const admit = (entry: Entry): void => {
    entry.state = 'queued'
    messages++
    bytes += entry.bytes
    if (entry.key) entry.key.live++
    enqueue(entry)
  }
  const enqueue = (entry: Entry): void => {
    if (entry.key?.blocked) entry.key.parked.push(entry)
    else backlog.push(entry)
  }

  /** Ends an entry. A `send` that is still under way goes on; its answer finds the entry settled. */
  const finish = (entry: Entry): void => {
    const { state } = entry
    entry.state = 'settled'
    entry.deadlines.remove(entry)
    if (entry.onAbort) entry.signal?.removeEventListener('abort', entry.onAbort)
    if (state === 'waiting') return
    messages--
    bytes -= entry.bytes
    const { key } = entry
    if (key && --key.live === 0 && !key.blocked) key.lanes.delete(key.id)
    if (waiting.size > 0) admitWaiting()
    if (drained && messages === 0 && waiting.size === 0) drained()
  }
  const admitWaiting = (): void => {
    for (let next = waiting.peek(); next && (next.state === 'settled' || fits(next)); next = waiting.peek()) {
      waiting.shift()
      if (next.state === 'waiting') admit(next)
    }
    schedule()
  }
  const giveUp = (entry: Entry, code: 'PUBLISH_TIMEOUT' | 'ABORTED' | 'DROPPED' | 'CLOSED', cause?: unknown): void => {
    if (entry.state === 'settled') return
    const unknown = entry.uncertain || entry.state === 'sending'
    const final = unknown && (code === 'PUBLISH_TIMEOUT' || code === 'CLOSED') ? 'PUBLISH_UNCERTAIN' : code
    finish(entry)
    entry.reject(new PolybusError(final, describe(final, entry), { sent: unknown ? 'unknown' : 'no', cause }))
  }

  const add = (fresh: NewEntry): Promise<Receipt> =>
    new Promise((resolve, reject) => {
      if (closing) return reject(new PolybusError('CLOSED', 'The bus is closed: nothing was published.', { sent: 'no' }))
      const { signal, timeoutMs } = fresh
      const entry: Entry = {
        outgoing: fresh.outgoing, bytes: fresh.bytes, key: fresh.key, state: 'waiting', uncertain: false, tries: 0,
        deadlines: deadlinesOf(timeoutMs), resolve, reject, signal, onAbort: undefined,
        dueAt: 0, duePrevious: undefined, dueNext: undefined, dueListed: false,
      }
      if (waiting.size === 0 && fits(entry)) admit(entry)
      else if (options.whenFull === 'reject') return reject(new PolybusError('BUFFER_FULL', `The publish buffer is full (${messages} messages, ${bytes} bytes).`, { sent: 'no' }))
      else if (options.whenFull === 'drop-oldest') {
        while (!fits(entry)) {
          const oldest = backlog.oldest((candidate) => candidate.state === 'queued')
          if (!oldest) return reject(new PolybusError('BUFFER_FULL', 'The publish buffer is full, and all of it is being sent.', { sent: 'no' }))
          giveUp(oldest, 'DROPPED')
        }
        admit(entry)
      } else waiting.push(entry)
      entry.deadlines.add(entry, clock.now() + timeoutMs)
      if (signal) {
        entry.onAbort = () => giveUp(entry, 'ABORTED', signal.reason)
        signal.addEventListener('abort', entry.onAbort)
      }
      schedule()
    })

  // The first message leaves in the same turn; what gathers during a round trip forms the next batch.
  const schedule = (): void => {
    if (flushing || !up || backlog.size === 0 || sends.size >= limits.concurrency) return
    flushing = true
    queueMicrotask(() => {
      flushing = false
      while (up && sends.size < limits.concurrency && backlog.size > 0) {
        const batch = takeBatch()
        if (batch.length > 0) void sendBatch(batch)
      }
    })
  }

  const takeBatch = (): Entry[] => {
    const batch: Entry[] = []
    const taken: KeyLane[] = []
    let size = 0
    for (let entry = backlog.peek(); entry && batch.length < limits.messages; entry = backlog.peek()) {
      if (entry.state === 'settled') {
        backlog.shift()
        continue
      }
      const { key } = entry
      if (key?.blocked) {
        backlog.shift()
        key.parked.push(entry)
        continue
      }
      if (batch.length > 0 && size + entry.bytes > limits.bytes) break
      backlog.shift()
      batch.push(entry)
      size += entry.bytes
      entry.state = 'sending'
      if (key) {
        if (!key.together) key.blocked = true
        taken.push(key)
      }
    }
    for (const key of taken) key.blocked = true
    return batch
  }

  const sendBatch = async (batch: Entry[]): Promise<void> => {
    const under = { since: clock.now(), abort: new AbortController() }
    sends.add(under)
    let results: readonly Result<Receipt>[]
    let total: PolybusError | undefined
    try {
      results = await options.send(batch.map((entry) => entry.outgoing), under.abort.signal)
    } catch (error) {
      total = asPolybusError(error, 'CONNECTION_FAILED')
      const failure: Result<Receipt> = { ok: false, error: total }
      results = batch.map(() => failure)
    }
    sends.delete(under)
    settleBatch(batch, results)
    if (total) options.onBroken(total)
    schedule()
  }

  const settleBatch = (batch: Entry[], results: readonly Result<Receipt>[]): void => {
    const again: Entry[] = []
    for (let index = 0; index < batch.length; index++) {
      const entry = batch[index] as Entry
      const result = results[index] ?? { ok: false as const, error: new PolybusError('PUBLISH_UNCERTAIN', 'The adapter gave no result for this entry.') }
      if (!apply(entry, result)) again.push(entry)
    }
    const delayMs = again.length === 0 ? 0 : retryDelayMs(Math.max(...again.map((entry) => entry.tries)))
    const failed = new Set<KeyLane>()
    for (const entry of again) if (entry.key) failed.add(entry.key)
    if (again.length > 0) {
      // Retries stand at the head of their key; keyless ones at the head of the queue.
      for (const key of failed) key.parked = [...again.filter((entry) => entry.key === key), ...key.parked]
      const retry = clock.timer(delayMs, () => {
        retries.delete(retry)
        for (const key of failed) unblock(key)
        backlog.unshift(again.filter((entry) => !entry.key && entry.state === 'queued'))
        schedule()
      })
      retries.add(retry)
    }
    for (const entry of batch) if (entry.key && !failed.has(entry.key)) unblock(entry.key)
  }
  const unblock = (key: KeyLane): void => {
    if (!key.blocked) return
    key.blocked = false
    const parked = key.parked
    key.parked = []
    for (const entry of parked) if (entry.state === 'queued') backlog.push(entry)
    if (key.live === 0) key.lanes.delete(key.id)
  }

  /** True when the entry is settled, false when it must go again. */
  const apply = (entry: Entry, result: Result<Receipt>): boolean => {
    if (entry.state === 'settled') return true
    if (result.ok) {
      const missing = result.value.missing ?? []
      if (missing.length === 0) {
        finish(entry)
        entry.resolve(result.value)
        return true
      }
      entry.outgoing = { ...entry.outgoing, groups: missing.map(({ group }) => group) }
      entry.uncertain = true
    } else {
      const { error } = result
      if (error.sent === 'unknown' || (error.sent === undefined && error.retryable && error.code !== 'NOT_ATTEMPTED' && error.code !== 'BROKER_BUSY')) entry.uncertain = true
      if (!error.retryable || closing && !up) {
        finish(entry)
        entry.reject(finalError(entry, error))
        return true
      }
    }
    entry.state = 'queued'
    entry.tries++
    return false
  }

  return {
    add,
    lane(lanes, id, together) {
      let lane = lanes.get(id)
      if (!lane) lanes.set(id, (lane = { id, lanes, together, blocked: false, parked: [], live: 0 }))
      return lane
    },
    online(next) {
      up = next
      schedule()
    },
    close(signal) {
      closing = true
      return new Promise((resolve) => {
        const end = (): void => {
          signal.removeEventListener('abort', abort)
          drained = undefined
          for (const retry of retries) retry.cancel()
          for (const { abort } of sends) abort.abort(new PolybusError('CLOSED'))
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
    get closing() {
      return closing
    },
    oldestSendMs: () => {
      for (const { since } of sends) return clock.now() - since
      return 0
    },
  }
}

const retryDelayMs = (tries: number): number => Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(tries - 1, 10)) * (0.5 + Math.random() / 2)

const finalError = (entry: Entry, error: PolybusError): PolybusError =>
  entry.uncertain
    ? new PolybusError('PUBLISH_UNCERTAIN', describe('PUBLISH_UNCERTAIN', entry), { cause: error, sent: 'unknown' })
    : new PolybusError(error.code, error.message, { cause: error, sent: 'no', retryable: error.retryable })

function describe(code: string, { outgoing }: Entry): string {
  const what = `Message '${outgoing.message.id ?? ''}' for channel '${outgoing.to.channel}'`
  switch (code) {
    case 'PUBLISH_TIMEOUT':
      return `${what} was not sent before its deadline. It is certainly not on the broker: publish it again, or raise publishing.timeout.`
    case 'PUBLISH_UNCERTAIN':
      return `${what} may be on the broker or not. Publish it again with the same id: idempotent consumers absorb the duplicate.`
    case 'DROPPED':
      return `${what} was dropped: the publish buffer is full and whenFull is 'drop-oldest'.`
    case 'CLOSED':
      return `${what} was not sent before the bus closed.`
    default:
      return `${what} was given up: its signal aborted.`
  }
}
