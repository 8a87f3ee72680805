// claim -> run -> complete. Only what succeeded is recorded, and a duplicate is settled only after the first succeeded.
import { type Clock, sleep } from '../clock.ts'
import { createDeadlines, type Due } from '../deadlines.ts'
import { asPolybusError, PolybusError } from '../errors.ts'
import type { Claim, ClaimStore, MaybePromise, ParkedMessage, TransactionalStore } from '../idempotency.ts'
import { isPromise } from '../maybe.ts'
import { type AttemptResult, DONE } from './decide.ts'
import type { Parked, Place } from './parked.ts'

/** The handler, time-out and middleware included, and who waits for what comes of it. Callbacks, because a promise more a message costs. */
export interface Job {
  /** Never throws; `ended` gets `done` or `failed`, maybe before this returns. */
  run(tx: unknown, ended: (result: AttemptResult) => void): void
  /** The attempt is over, with this result: once. */
  finish(result: AttemptResult): void
  /** When the handler started, by the clock. */
  readonly startedAt: number
  /** Where it stands in the line of its key; undefined without order-preserving dead letters. */
  readonly place: Place | undefined
  readonly signal: AbortSignal
  abort(reason: PolybusError): void
}
export type Deduplicate = (key: string, job: Job) => void

const CLAIM_LEASE_MS = 60_000
const COMPLETE_RETRY_MS = 200

const DUPLICATE: AttemptResult = { kind: 'duplicate' }
const BUSY: AttemptResult = { kind: 'busy' }
const PARKED: AttemptResult = { kind: 'parked' }
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
  /** Of order-preserving dead letters. */
  readonly parked?: Parked | undefined
}

export function createClaims(store: ClaimStore, options: DeduplicateOptions): Deduplicate {
  const { clock, parked } = options
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

  /** `passOn`: if the line of its key waits for it, the next one goes on first. */
  const finish = (job: Job, result: AttemptResult, passOn: boolean): void => {
    if (passOn && parked && job.place) void parked.passOn(job.place, result).then((passed) => job.finish(passed))
    else job.finish(result)
  }
  const enter = (key: string, fence: unknown, job: Job): void => {
    const entered = (where: 'free' | 'head' | 'parked'): void => {
      if (where === 'parked') release(key, fence, job, PARKED)
      else run(key, fence, job, where === 'head')
    }
    if (!parked || !job.place) return entered('free')
    const failed = (error: unknown): void => release(key, fence, job, unavailable(error))
    let where: MaybePromise<'free' | 'head' | 'parked'>
    try {
      where = parked.enter(job.place)
    } catch (error) {
      return failed(error)
    }
    if (isPromise(where)) where.then(entered, failed)
    else entered(where)
  }

  const run = (key: string, fence: unknown, job: Job, head: boolean): void => {
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
      if (result.kind === 'done') complete(key, fence, job, head)
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
  const complete = (key: string, fence: unknown, job: Job, head: boolean): void => {
    const insist = async (first: unknown): Promise<void> => {
      onTrouble(storeError(first))
      for (;;) {
        await sleep(clock, COMPLETE_RETRY_MS, job.signal)
        if (job.signal.aborted) return job.finish(unavailable(first))
        try {
          answered(await store.complete(key, fence))
          return finish(job, DONE, head)
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
    if (isPromise(completed)) completed.then(() => finish(job, answered(DONE), head), insist)
    else finish(job, answered(DONE), head)
  }

  return (key, job) => {
    const claimed = (claim: Claim): void => {
      if (claim.status === 'claimed') enter(key, claim.fence, job)
      else finish(job, notOurs(claim.status), claim.status === 'duplicate')
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
export function createTransactions(store: TransactionalStore<unknown>, parked?: Parked): Deduplicate {
  /** In a transaction of its own: that of the dedup row was rolled back. */
  const park = async (place: Place, to: Parked): Promise<AttemptResult> => {
    try {
      return (await to.enter(place)) === 'parked' ? PARKED : BUSY
    } catch (error) {
      return unavailable(error)
    }
  }
  const run = async (key: string, job: Job): Promise<AttemptResult> => {
    const { place } = job
    let working: Promise<AttemptResult> | undefined
    let where = 'free' as 'free' | 'head' | 'behind'
    let next: ParkedMessage | undefined
    try {
      const how = await store.run(
        key,
        async (tx) => {
          if (parked && place) where = await parked.look(place, tx)
          if (where === 'behind') throw new Error('rolled back: another message of its key is to go first')
          working = new Promise((resolve) => job.run(tx, resolve))
          const result = await working
          if (result.kind === 'done') {
            if (parked && place && where === 'head') next = await parked.advance(place, tx)
            return
          }
          // Whatever the handler threw, the transaction must not commit.
          throw new Error('rolled back: the handler failed', {
            cause: result.kind === 'failed' ? result.error : undefined,
          })
        },
        { signal: job.signal },
      )
      if (!parked || !place) return how === 'done' ? DONE : notOurs(how)
      if (how === 'busy') return BUSY
      return how === 'done' ? await parked.send(place, next, DONE) : await parked.passOn(place, DUPLICATE)
    } catch (error) {
      // A store may roll back as soon as the signal aborts; what is decided waits for the handler all the same.
      if (parked && place && where === 'behind') return park(place, parked)
      const result = await working
      if (result && result.kind !== 'done') return result
      // The database answered and refused the commit: another try without a count could go on for ever.
      return PolybusError.is(error, 'TRANSACTION_FAILED') ? { kind: 'failed', error } : unavailable(error)
    }
  }
  return (key, job) => void run(key, job).then((result) => job.finish(result))
}
