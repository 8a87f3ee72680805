// claim -> run -> complete. Only what succeeded is recorded, and a duplicate is settled only after the first succeeded.
import { type Clock, sleep } from '../clock.ts'
import { createDeadlines, type Due } from '../deadlines.ts'
import { asPolybusError, PolybusError } from '../errors.ts'
import type { ClaimStore, MaybePromise, TransactionalStore } from '../idempotency.ts'
import { isPromise } from '../schema.ts'

/** What became of the handler under a claim. `unavailable`: the store, not the handler, failed. */
export type Deduplicated =
  | { readonly kind: 'done' }
  | { readonly kind: 'duplicate' }
  | { readonly kind: 'busy' }
  | { readonly kind: 'unavailable'; readonly error: PolybusError }
  | { readonly kind: 'failed'; readonly error: unknown }

/** Runs the handler; resolves to undefined, or to what it threw, wrapped so that `undefined` can be thrown too. */
export type Work = (tx: unknown) => MaybePromise<{ readonly error: unknown } | undefined>
export type Deduplicate = (key: string, work: Work, signal: () => AbortSignal) => MaybePromise<Deduplicated>

const CLAIM_LEASE_MS = 60_000
const COMPLETE_RETRY_MS = 200

const DONE: Deduplicated = { kind: 'done' }
const DUPLICATE: Deduplicated = { kind: 'duplicate' }
const BUSY: Deduplicated = { kind: 'busy' }
const unavailable = (error: unknown): Deduplicated => ({ kind: 'unavailable', error: asPolybusError(error, 'STORE_UNAVAILABLE') })

interface Held extends Due {
  readonly key: string
  readonly fence: unknown
}

export interface DeduplicateOptions {
  readonly clock: Clock
  /** The store failed where nothing else can say so. */
  readonly onTrouble: (error: PolybusError) => void
}

export function createClaims(store: ClaimStore, { clock, onTrouble }: DeduplicateOptions): Deduplicate {
  // A claim is renewed when a third of its lease is over, for handlers that run long.
  const renewals = createDeadlines<Held>(clock, (held) => {
    Promise.resolve()
      .then(() => store.extend(held.key, held.fence, CLAIM_LEASE_MS))
      .catch((error: unknown) => {
        onTrouble(asPolybusError(error, 'STORE_UNAVAILABLE'))
        return true
      })
      .then((ours) => {
        if (ours && !held.dueListed && !ended.has(held)) renewals.add(held, clock.now() + CLAIM_LEASE_MS / 3)
      })
      .catch(onTrouble as (error: unknown) => void)
  })
  const ended = new WeakSet<Held>()

  const failed = (key: string, fence: unknown, error: unknown): MaybePromise<Deduplicated> => {
    const result: Deduplicated = { kind: 'failed', error }
    // A claim that can't be given back ends with its lease; until then the next attempt is postponed.
    const trouble = (cause: unknown): Deduplicated => {
      onTrouble(asPolybusError(cause, 'STORE_UNAVAILABLE'))
      return result
    }
    try {
      const released = store.release(key, fence)
      return isPromise(released) ? released.then(() => result, trouble) : result
    } catch (cause) {
      return trouble(cause)
    }
  }
  /** The effect has happened: the mark is tried until it is there, or nobody needs it any more. */
  const complete = (key: string, fence: unknown, signal: () => AbortSignal): MaybePromise<Deduplicated> => {
    const insist = async (first: unknown): Promise<Deduplicated> => {
      onTrouble(asPolybusError(first, 'STORE_UNAVAILABLE'))
      for (;;) {
        if (signal().aborted) return unavailable(first)
        await sleep(clock, COMPLETE_RETRY_MS, signal())
        try {
          await store.complete(key, fence)
          return DONE
        } catch (error) {
          onTrouble(asPolybusError(error, 'STORE_UNAVAILABLE'))
        }
      }
    }
    try {
      const completed = store.complete(key, fence)
      return isPromise(completed) ? completed.then(() => DONE, insist) : DONE
    } catch (error) {
      return insist(error)
    }
  }
  const run = (key: string, fence: unknown, work: Work, signal: () => AbortSignal): MaybePromise<Deduplicated> => {
    const result = work(undefined)
    if (!isPromise(result)) return result ? failed(key, fence, result.error) : complete(key, fence, signal)
    const held: Held = { key, fence, dueAt: 0, duePrevious: undefined, dueNext: undefined, dueListed: false }
    renewals.add(held, clock.now() + CLAIM_LEASE_MS / 3)
    return result.then((failure) => {
      renewals.remove(held)
      ended.add(held)
      return failure ? failed(key, fence, failure.error) : complete(key, fence, signal)
    })
  }

  return (key, work, signal) => {
    try {
      const claim = store.claim(key, CLAIM_LEASE_MS)
      if (isPromise(claim)) {
        return claim.then((settled) => (settled.status === 'claimed' ? run(key, settled.fence, work, signal) : settled.status === 'duplicate' ? DUPLICATE : BUSY), unavailable)
      }
      if (claim.status === 'claimed') return run(key, claim.fence, work, signal)
      return claim.status === 'duplicate' ? DUPLICATE : BUSY
    } catch (error) {
      return unavailable(error)
    }
  }
}

/** The store's transaction is the claim: the handler's writes and the dedup row commit together. */
export function createTransactions(store: TransactionalStore<unknown>): Deduplicate {
  return async (key, work, signal) => {
    let failure: { readonly error: unknown } | undefined
    try {
      const how = await store.run(
        key,
        async (tx) => {
          failure = await work(tx)
          if (failure) throw failure.error
        },
        { signal: signal() },
      )
      return how === 'done' ? DONE : how === 'duplicate' ? DUPLICATE : BUSY
    } catch (error) {
      return failure ? { kind: 'failed', error: failure.error } : unavailable(error)
    }
  }
}

/** No store: every delivery runs. */
export const runPlain = (work: Work): MaybePromise<Deduplicated> => {
  const result = work(undefined)
  if (isPromise(result)) return result.then((failure) => (failure ? { kind: 'failed', error: failure.error } : DONE))
  return result ? { kind: 'failed', error: result.error } : DONE
}
