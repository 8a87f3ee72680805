// What is ready leaves in batches: one batch of a key at a time, and what failed goes again at the head of its key.
import type { Outgoing, Receipt, Result, SendLimits } from '../adapter.ts'
import { createChain, joinChain, leaveChain, type Linked, listChain } from '../chain.ts'
import type { Clock } from '../clock.ts'
import { asPolybusError, PolybusError } from '../errors.ts'
import { type Entry, type KeyLane, mayBeSent, refused } from './entry.ts'
import { createHeadroom } from './headroom.ts'
import { createReady } from './ready.ts'

export interface BatchesOptions {
  readonly clock: Clock
  readonly limits: SendLimits
  readonly send: (batch: readonly Outgoing[], signal: AbortSignal) => Promise<readonly Result<Receipt>[]>
  /** `send` failed as a whole. */
  readonly onBroken: (error: PolybusError) => void
  /** Ends an entry, before its promise settles. */
  readonly finish: (entry: Entry) => void
}

export interface Batches {
  push(entry: Entry): void
  /** The first that is not yet being sent. */
  oldestQueued(): Entry | undefined
  /** One that was queued was given up: while the broker is away nothing else takes those out. */
  gaveUp(entry: Entry): void
  online(up: boolean): void
  flush(): void
  /** Nothing is tried again; calls under way are aborted. */
  close(): void
  /** Gives up calls without an answer for so long; what they carried goes again, uncertain. True where there were any. */
  abandon(olderThanMs: number): boolean
}

/** A call of the adapter. */
interface Sending extends Linked<Sending> {
  readonly since: number
  /** Waits for its answer no longer. */
  abandon: (reason: PolybusError) => void
}

const ignore = (): void => {}
const RETRY_FIRST_MS = 50
const RETRY_MAX_MS = 2000
const NO_RESULT: Result<Receipt> = {
  ok: false,
  error: new PolybusError('PUBLISH_UNCERTAIN', 'The adapter gave no result for this entry.'),
}

export function createBatches({ clock, limits, send, onBroken, finish }: BatchesOptions): Batches {
  const ready = createReady()
  const headroom = createHeadroom()
  const sends = createChain<Sending>()
  const retries = new Map<{ cancel(): void }, readonly Entry[]>()
  let up = true
  let flushing = false

  // The first message leaves in the same turn; what gathers during a round trip forms the next batch.
  const flush = (): void => {
    if (flushing || !up || ready.size === 0 || sends.size >= limits.concurrency) return
    flushing = true
    queueMicrotask(() => {
      flushing = false
      const now = clock.now()
      const inTime = ({ dueAt, timeoutMs }: Entry): boolean => dueAt - now >= headroom.neededMs(timeoutMs)
      while (up && sends.size < limits.concurrency && ready.size > 0) {
        const batch = ready.take(limits, inTime)
        if (batch.length > 0) void sendBatch(batch)
      }
    })
  }
  const sendBatch = async (batch: readonly Entry[]): Promise<void> => {
    const abort = new AbortController()
    const { signal } = abort
    const under: Sending = { since: clock.now(), abandon: ignore, before: undefined, after: undefined }
    joinChain(sends, under)
    let results: readonly Result<Receipt>[]
    let total: PolybusError | undefined
    try {
      results = await new Promise((resolve, reject) => {
        // An adapter that does not heed the signal must not keep a place of `limits.concurrency` for ever.
        const abandon = (reason: PolybusError): void => {
          abort.abort(reason)
          reject(reason)
        }
        under.abandon = abandon
        send(
          batch.map(({ outgoing }) => outgoing),
          signal,
        ).then(resolve, reject)
      })
      headroom.answered(clock.now() - under.since, batch.some(isSettled))
    } catch (error) {
      total = signal.aborted ? noAnswer(error) : asPolybusError(error, 'CONNECTION_FAILED')
      const failure: Result<Receipt> = { ok: false, error: total }
      results = batch.map(() => failure)
    }
    leaveChain(sends, under)
    settleBatch(batch, results)
    const broken = total ?? topologyGone(results)
    if (broken) onBroken(broken)
    flush()
  }
  const settleBatch = (batch: readonly Entry[], results: readonly Result<Receipt>[]): void => {
    let again: Entry[] | undefined
    for (let index = 0; index < batch.length; index++) {
      const entry = batch[index] as Entry
      if (!settle(entry, results[index] ?? NO_RESULT)) (again ??= []).push(entry)
    }
    const failed = again ? retry(again) : undefined
    for (const { key } of batch) if (key?.blocked && !failed?.has(key)) ready.free(key)
  }
  /** After a while once more. Returns the keys that wait for it. */
  const retry = (again: readonly Entry[]): Set<KeyLane> => {
    const keys = new Set<KeyLane>()
    for (const { key } of again) if (key) keys.add(key)
    const timer = clock.timer(retryDelayMs(Math.max(...again.map(({ tries }) => tries))), () => {
      retries.delete(timer)
      ready.again(again)
      for (const key of keys) ready.free(key)
      flush()
    })
    retries.set(timer, again)
    return keys
  }
  /** True when the entry is settled, false when it must go again. */
  const settle = (entry: Entry, result: Result<Receipt>): boolean => {
    if (entry.state === 'settled') return true
    if (result.ok) {
      const { missing } = result.value
      if (missing === undefined || missing.length === 0) {
        finish(entry)
        entry.resolve({ id: entry.outgoing.message.id ?? '', position: result.value.position })
        return true
      }
      entry.outgoing = { ...entry.outgoing, groups: missing.map(({ group }) => group) }
      entry.uncertain = true
      entry.failure = missing[0]?.error
    } else {
      const error = asPolybusError(result.error, 'PUBLISH_UNCERTAIN')
      if (mayBeSent(error)) entry.uncertain = true
      if (!error.retryable) {
        finish(entry)
        entry.reject(refused(entry, error))
        return true
      }
      entry.failure = error
    }
    entry.state = 'queued'
    entry.tries++
    return false
  }

  return {
    push: ready.push,
    flush,
    oldestQueued() {
      // What waits for its next try came before what is ready, and that before what stands behind a key in its turn.
      for (const entries of retries.values()) for (const entry of entries) if (entry.state === 'queued') return entry
      const next = ready.oldest()
      if (next) return next
      for (const entries of retries.values())
        for (const { key } of entries) {
          const behind = key?.behind?.find(({ state }) => state === 'queued')
          if (behind) return behind
        }
      return undefined
    },
    gaveUp: ready.gaveUp,
    online(next) {
      up = next
      flush()
    },
    close() {
      for (const timer of retries.keys()) timer.cancel()
      for (const { abandon } of listChain(sends)) abandon(new PolybusError('CLOSED'))
    },
    abandon(olderThanMs) {
      const hung = listChain(sends).filter(({ since }) => clock.now() - since >= olderThanMs)
      for (const { abandon } of hung) abandon(noAnswer())
      return hung.length > 0
    },
  }
}

const isSettled = ({ state }: Entry): boolean => state === 'settled'

const noAnswer = (cause?: unknown): PolybusError =>
  new PolybusError('CONNECTION_FAILED', 'The broker has not answered a publish.', { cause, sent: 'unknown' })

/** Somebody deleted what was there: only setting it up again helps. */
function topologyGone(results: readonly Result<Receipt>[]): PolybusError | undefined {
  for (const result of results) {
    const errors = result.ok ? result.value.missing?.map(({ error }) => error) : [result.error]
    const gone = errors?.find((error) => PolybusError.is(error, 'TOPOLOGY_MISSING') && error.retryable)
    if (gone) return gone
  }
  return undefined
}

const retryDelayMs = (tries: number): number =>
  Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(tries - 1, 10)) * (0.5 + Math.random() / 2)
