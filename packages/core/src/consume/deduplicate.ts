// claim -> run -> complete. Only what succeeded is recorded, and a duplicate is settled only after the first succeeded.
import { type Clock, sleep } from '../clock.ts'
import { createDeadlines, type Due } from '../deadlines.ts'
import { asPolybusError, PolybusError } from '../errors.ts'
import type { Claim, ClaimStore, MaybePromise, TransactionalStore } from '../idempotency.ts'
import { isPromise } from '../schema.ts'
import { type AttemptResult, DONE } from './decide.ts'

/** The handler, time-out and middleware included, and who waits for what comes of it. Callbacks, because a promise more a message costs. */
export interface Job {
  /** Never throws; `ended` gets `done` or `failed`, maybe before this returns. */
  run(tx: unknown, ended: (result: AttemptResult) => void): void
  /** The attempt is over, with this result: once. */
  finish(result: AttemptResult): void
  /** When the handler started, by the clock. */
  readonly startedAt: number
  readonly signal: AbortSignal
  abort(reason: PolybusError): void
}
export type Deduplicate = (key: string, job: Job) => void

const CLAIM_LEASE_MS = 60_000
const COMPLETE_RETRY_MS = 200

const DUPLICATE: AttemptResult = { kind: 'duplicate' }
const BUSY: AttemptResult = { kind: 'busy' }
const storeError = (error: unknown): PolybusError => asPolybusError(error, 'STORE_UNAVAILABLE')
const unavailable = (error: unknown): AttemptResult => ({ kind: 'unavailable', error: storeError(error) })

interface Held extends Due {
  readonly key: string
  readonly fence: unknown
  readonly job: Job
  ended: boolean
}

export interface DeduplicateOptions {
  readonly clock: Clock
  /** The store failed where nothing else can say so; undefined: it works again. */
  readonly onTrouble: (error: PolybusError | undefined) => void
}

export function createClaims(store: ClaimStore, options: DeduplicateOptions): Deduplicate {
  const { clock } = options
  let troubled = false
  const onTrouble = (error: PolybusError): void => {
    troubled = true
    options.onTrouble(error)
  }
  /** The store has answered: an earlier trouble is over. */
  const answered = <T>(result: T): T => {
    if (troubled) options.onTrouble(undefined)
    troubled = false
    return result
  }
  // A claim is renewed when a third of its lease is over, for handlers that run long.
  const renewals = createDeadlines<Held>(clock, (held) => void renew(held))
  const watch = (held: Held, fromMs: number): void => renewals.add(held, fromMs + CLAIM_LEASE_MS / 3)
  const renew = async (held: Held): Promise<void> => {
    let ours = true
    try {
      ours = answered(await store.renew(held.key, held.fence, CLAIM_LEASE_MS))
    } catch (error) {
      onTrouble(storeError(error))
    }
    if (held.ended) return
    if (ours) watch(held, clock.now())
    else held.job.abort(new PolybusError('LEASE_LOST', 'Another process took the claim of this message over.'))
  }

  const run = (key: string, fence: unknown, job: Job): void => {
    const held: Held = {
      key,
      fence,
      job,
      ended: false,
      dueAt: 0,
      duePrevious: undefined,
      dueNext: undefined,
      dueListed: false,
    }
    job.run(undefined, (result) => {
      renewals.remove(held)
      held.ended = true
      if (result.kind === 'done') complete(key, fence, job)
      else release(key, fence, job, result)
    })
    // A handler that ended at once needs no renewal.
    if (!held.ended) watch(held, job.startedAt)
  }

  /** A claim that can't be given back ends with its lease; until then the next attempt is postponed. */
  const release = (key: string, fence: unknown, job: Job, result: AttemptResult): void => {
    const trouble = (error: unknown): void => {
      onTrouble(storeError(error))
      job.finish(result)
    }
    let released: MaybePromise<void>
    try {
      released = store.release(key, fence)
    } catch (error) {
      return trouble(error)
    }
    if (isPromise(released)) released.then(() => job.finish(answered(result)), trouble)
    else job.finish(answered(result))
  }
  /** The effect has happened: the mark is tried until it is there, or nobody needs it any more. */
  const complete = (key: string, fence: unknown, job: Job): void => {
    const insist = async (first: unknown): Promise<void> => {
      onTrouble(storeError(first))
      for (;;) {
        await sleep(clock, COMPLETE_RETRY_MS, job.signal)
        if (job.signal.aborted) return job.finish(unavailable(first))
        try {
          answered(await store.complete(key, fence))
          return job.finish(DONE)
        } catch (error) {
          onTrouble(storeError(error))
        }
      }
    }
    let completed: MaybePromise<boolean>
    try {
      completed = store.complete(key, fence)
    } catch (error) {
      return void insist(error)
    }
    if (isPromise(completed)) completed.then(() => job.finish(answered(DONE)), insist)
    else job.finish(answered(DONE))
  }

  return (key, job) => {
    const claimed = (claim: Claim): void => {
      if (claim.status === 'claimed') run(key, claim.fence, job)
      else job.finish(notOurs(claim.status))
    }
    let claim: MaybePromise<Claim>
    try {
      claim = store.claim(key, CLAIM_LEASE_MS)
    } catch (error) {
      return job.finish(unavailable(error))
    }
    if (isPromise(claim)) claim.then(claimed, (error: unknown) => job.finish(unavailable(error)))
    else claimed(claim)
  }
}

const notOurs = (status: 'duplicate' | 'busy'): AttemptResult => (status === 'duplicate' ? DUPLICATE : BUSY)

/** The store's transaction is the claim: the handler's writes and the dedup row commit together. */
export function createTransactions(store: TransactionalStore<unknown>): Deduplicate {
  const run = async (key: string, job: Job): Promise<AttemptResult> => {
    let working: Promise<AttemptResult> | undefined
    try {
      const how = await store.run(
        key,
        async (tx) => {
          working = new Promise((resolve) => job.run(tx, resolve))
          const result = await working
          if (result.kind === 'done') return
          // Whatever the handler threw, the transaction must not commit.
          throw new Error('rolled back: the handler failed', {
            cause: result.kind === 'failed' ? result.error : undefined,
          })
        },
        { signal: job.signal },
      )
      return how === 'done' ? DONE : notOurs(how)
    } catch (error) {
      // A store may roll back as soon as the signal aborts; what is decided waits for the handler all the same.
      const result = await working
      return result && result.kind !== 'done' ? result : unavailable(error)
    }
  }
  return (key, job) => void run(key, job).then((result) => job.finish(result))
}
