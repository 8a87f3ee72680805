// claim -> run -> complete. Only what succeeded is recorded, and a duplicate is settled only after the first succeeded.
import { type Clock, sleep } from '../clock.ts'
import { createDeadlines, type Due } from '../deadlines.ts'
import { asPolybusError, PolybusError } from '../errors.ts'
import type { ClaimStore, MaybePromise, TransactionalStore } from '../idempotency.ts'
import { isPromise } from '../schema.ts'
import { type AttemptResult, DONE } from './decide.ts'

/** The handler, time-out and middleware included: never throws, never rejects, and answers `done` or `failed`. */
export interface Job {
  /** `then` gets the result in the same step: a promise less for each message. */
  run(tx: unknown, then?: (result: AttemptResult) => MaybePromise<AttemptResult>): MaybePromise<AttemptResult>
  readonly signal: AbortSignal
  abort(reason: PolybusError): void
}
export type Deduplicate = (key: string, job: Job) => MaybePromise<AttemptResult>

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
  const watch = (held: Held): void => renewals.add(held, clock.now() + CLAIM_LEASE_MS / 3)
  const renew = async (held: Held): Promise<void> => {
    let ours = true
    try {
      ours = answered(await store.renew(held.key, held.fence, CLAIM_LEASE_MS))
    } catch (error) {
      onTrouble(storeError(error))
    }
    if (held.ended) return
    if (ours) watch(held)
    else held.job.abort(new PolybusError('LEASE_LOST', 'Another process took the claim of this message over.'))
  }

  const run = (key: string, fence: unknown, job: Job): MaybePromise<AttemptResult> => {
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
    const result = job.run(undefined, (settled) => {
      renewals.remove(held)
      held.ended = true
      return settled.kind === 'done' ? complete(key, fence, job) : release(key, fence, settled)
    })
    // A handler that ended at once needs no renewal.
    if (!held.ended) watch(held)
    return result
  }

  /** A claim that can't be given back ends with its lease; until then the next attempt is postponed. */
  const release = (key: string, fence: unknown, result: AttemptResult): MaybePromise<AttemptResult> => {
    const trouble = (error: unknown): AttemptResult => {
      onTrouble(storeError(error))
      return result
    }
    try {
      const released = store.release(key, fence)
      return isPromise(released) ? released.then(() => answered(result), trouble) : answered(result)
    } catch (error) {
      return trouble(error)
    }
  }
  /** The effect has happened: the mark is tried until it is there, or nobody needs it any more. */
  const complete = (key: string, fence: unknown, job: Job): MaybePromise<AttemptResult> => {
    const insist = async (first: unknown): Promise<AttemptResult> => {
      onTrouble(storeError(first))
      for (;;) {
        await sleep(clock, COMPLETE_RETRY_MS, job.signal)
        if (job.signal.aborted) return unavailable(first)
        try {
          answered(await store.complete(key, fence))
          return DONE
        } catch (error) {
          onTrouble(storeError(error))
        }
      }
    }
    try {
      const completed = store.complete(key, fence)
      return isPromise(completed) ? completed.then(() => answered(DONE), insist) : answered(DONE)
    } catch (error) {
      return insist(error)
    }
  }

  return (key, job) => {
    try {
      const claim = store.claim(key, CLAIM_LEASE_MS)
      if (isPromise(claim)) {
        return claim.then(
          (settled) => (settled.status === 'claimed' ? run(key, settled.fence, job) : notOurs(settled.status)),
          unavailable,
        )
      }
      return claim.status === 'claimed' ? run(key, claim.fence, job) : notOurs(claim.status)
    } catch (error) {
      return unavailable(error)
    }
  }
}

const notOurs = (status: 'duplicate' | 'busy'): AttemptResult => (status === 'duplicate' ? DUPLICATE : BUSY)

/** The store's transaction is the claim: the handler's writes and the dedup row commit together. */
export function createTransactions(store: TransactionalStore<unknown>): Deduplicate {
  return async (key, job) => {
    let working: Promise<AttemptResult> | undefined
    try {
      const how = await store.run(
        key,
        async (tx) => {
          working = Promise.resolve(job.run(tx))
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
}
