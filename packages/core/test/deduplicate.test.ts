import { describe, expect, test } from 'vitest'
import type { AttemptResult } from '../src/consume/decide.ts'
import { createClaims, createTransactions, type Deduplicate, type Job } from '../src/consume/deduplicate.ts'
import { PolybusError } from '../src/errors.ts'
import type { Claim, ClaimStore, TransactionalStore } from '../src/idempotency.ts'
import { deferred, manual, watch } from './fake.ts'

const DONE: AttemptResult = { kind: 'done' }
const FAILED: AttemptResult = { kind: 'failed', error: 'boom' }
interface Worked extends Job {
  readonly over: Promise<AttemptResult>
}
const job = (
  run: (tx: unknown) => AttemptResult | Promise<AttemptResult>,
  signal = new AbortController().signal,
  abort: Job['abort'] = () => {},
): Worked => {
  const over = deferred<AttemptResult>()
  return {
    run(tx, ended) {
      const result = run(tx)
      if (result instanceof Promise) void result.then(ended)
      else ended(result)
    },
    finish: over.resolve,
    over: over.promise,
    startedAt: 0,
    place: undefined,
    signal,
    abort,
  }
}
const result = (deduplicate: Deduplicate, one: Worked): Promise<AttemptResult> => {
  deduplicate('k', one)
  return one.over
}

function rig(over: Partial<ClaimStore> = {}) {
  const time = manual()
  const calls: string[] = []
  const trouble: (string | undefined)[] = []
  const store: ClaimStore = {
    kind: 'claim',
    claim: (key) => (calls.push(`claim ${key}`), { status: 'claimed', fence: 7 }),
    complete: (key, fence) => (calls.push(`complete ${key} ${String(fence)}`), true),
    release: (key, fence) => void calls.push(`release ${key} ${String(fence)}`),
    renew: (key, fence) => (calls.push(`renew ${key} ${String(fence)}`), true),
    ...over,
  }
  const deduplicate = createClaims(store, { clock: time.clock, onTrouble: (error) => trouble.push(error?.code) })
  return { time, calls, trouble, run: (one: Worked) => watch(result(deduplicate, one)) }
}

describe('claims', () => {
  test('claim, run, complete with the fence', async () => {
    const { run, calls, time } = rig()
    const seen: unknown[] = []
    const one = run(job((tx) => (seen.push(tx), calls.push('run'), DONE)))
    await time.quiet()
    expect([calls, one.value, seen]).toEqual([['claim k', 'run', 'complete k 7'], DONE, [undefined]])
  })
  test('what failed is released, never completed', async () => {
    for (const result of [FAILED, Promise.resolve(FAILED)]) {
      const { run, calls, time } = rig()
      const one = run(job(() => result))
      await time.quiet()
      expect([calls, one.value]).toEqual([['claim k', 'release k 7'], FAILED])
    }
  })
  for (const status of ['duplicate', 'busy'] as const)
    test(`${status}: the handler does not run`, async () => {
      for (const claim of [{ status } as Claim, Promise.resolve({ status } as Claim)]) {
        const { run, calls, time } = rig({ claim: () => claim })
        const one = run(
          job(() => {
            throw new Error('ran')
          }),
        )
        await time.quiet()
        expect([calls, one.value]).toEqual([[], { kind: status }])
      }
    })
  test('a store that is down: the handler does not run, and nothing is counted', async () => {
    for (const claim of [
      () => {
        throw new Error('down')
      },
      () => Promise.reject(new Error('down')),
    ]) {
      const { run, time } = rig({ claim })
      const one = run(
        job(() => {
          throw new Error('ran')
        }),
      )
      await time.quiet()
      expect(one.value).toMatchObject({ kind: 'unavailable', error: { code: 'STORE_UNAVAILABLE' } })
    }
  })
  test('the mark is tried until it is there: the effect has happened. Meanwhile the trouble is known', async () => {
    let failures = 3
    const { run, trouble, time } = rig({
      complete: () => (failures-- > 0 ? Promise.reject(new Error('down')) : Promise.resolve(true)),
    })
    let runs = 0
    const one = run(job(() => (runs++, DONE)))
    await time.advance(500)
    expect(one.state).toBe('open')
    expect(trouble).not.toContain(undefined)
    await time.advance(200)
    expect([one.value, runs, trouble.at(-1)]).toEqual([DONE, 1, undefined])
  })
  test('nobody insists on the mark of what is lost', async () => {
    const abort = new AbortController()
    const { run, time } = rig({
      complete: () => {
        throw new Error('down')
      },
    })
    const one = run(job(() => DONE, abort.signal))
    await time.advance(1000)
    abort.abort()
    await time.quiet()
    expect(one.value).toMatchObject({ kind: 'unavailable' })
    expect(time.pending).toBe(false)
  })
  test('a claim that cannot be released is still a failed attempt', async () => {
    for (const release of [
      () => {
        throw new Error('down')
      },
      () => Promise.reject(new Error('down')),
    ]) {
      const { run, trouble, time } = rig({ release })
      const one = run(job(() => FAILED))
      await time.quiet()
      expect([one.value, trouble]).toEqual([FAILED, ['STORE_UNAVAILABLE']])
    }
  })
  test('long handlers renew their claim, and stop with their end', async () => {
    const { run, calls, time } = rig()
    const gate = deferred<AttemptResult>()
    run(job(() => gate.promise))
    await time.advance(65_000)
    expect(calls.filter((call) => call.startsWith('renew'))).toHaveLength(3)
    gate.resolve(DONE)
    await time.advance(100_000)
    expect(calls.filter((call) => call.startsWith('renew'))).toHaveLength(3)
    expect(time.pending).toBe(false)
  })
  test('a renewal that fails is tried again, and the trouble ends with the next answer', async () => {
    let fails = true
    const { run, trouble, time } = rig({
      renew: () => {
        if (fails) throw new Error('down')
        return true
      },
    })
    run(job(() => new Promise(() => {})))
    await time.advance(20_000)
    expect(trouble).toEqual(['STORE_UNAVAILABLE'])
    fails = false
    await time.advance(20_000)
    expect(trouble).toEqual(['STORE_UNAVAILABLE', undefined])
  })
  test('a claim that another one took over is renewed no more, and its handler is told', async () => {
    let asked = 0
    const told: string[] = []
    const { run, time } = rig({ renew: () => (asked++, false) })
    run(
      job(
        () => new Promise(() => {}),
        undefined,
        (reason) => void told.push(reason.code),
      ),
    )
    await time.advance(200_000)
    expect([asked, told]).toEqual([1, ['LEASE_LOST']])
  })
})

describe('transactions', () => {
  const transactional = (run: TransactionalStore<unknown>['run']) => createTransactions({ kind: 'transactional', run })
  test('the handler gets the transaction, which commits with it', async () => {
    const seen: unknown[] = []
    const deduplicate = transactional(async (key, work) => {
      await work('tx')
      seen.push(`commit ${key}`)
      return 'done'
    })
    expect(
      await result(
        deduplicate,
        job((tx) => (seen.push(tx), DONE)),
      ),
    ).toEqual(DONE)
    expect(seen).toEqual(['tx', 'commit k'])
  })
  test('a handler that fails rolls back, whatever it threw', async () => {
    let committed = false
    const deduplicate = transactional(async (_, work) => {
      await work('tx')
      committed = true
      return 'done'
    })
    for (const error of ['boom', undefined, null])
      expect(
        await result(
          deduplicate,
          job(() => ({ kind: 'failed', error })),
        ),
      ).toEqual({ kind: 'failed', error })
    expect(committed).toBe(false)
  })
  test('duplicate and busy', async () => {
    for (const how of ['duplicate', 'busy'] as const)
      expect(
        await result(
          transactional(async () => how),
          job(() => DONE),
        ),
      ).toEqual({ kind: how })
  })
  test('a commit that fails, or a store that is down, is no attempt', async () => {
    const commit = transactional(async (_, work) => {
      await work('tx')
      throw new Error('serialisation')
    })
    expect(
      await result(
        commit,
        job(() => DONE),
      ),
    ).toMatchObject({ kind: 'unavailable', error: { code: 'STORE_UNAVAILABLE' } })
    expect(
      await result(
        transactional(() => Promise.reject(new PolybusError('STORE_UNAVAILABLE'))),
        job(() => DONE),
      ),
    ).toMatchObject({ kind: 'unavailable' })
  })
  test('a commit that the database refused is a failed attempt', async () => {
    const error = new PolybusError('TRANSACTION_FAILED')
    const refused = transactional(async (_, work) => {
      await work('tx')
      throw error
    })
    expect(
      await result(
        refused,
        job(() => DONE),
      ),
    ).toEqual({ kind: 'failed', error })
  })
  test('a store that rolls back at the abort: what is decided waits for the handler to end', async () => {
    const gate = deferred<AttemptResult>()
    const abort = new AbortController()
    const deduplicate = transactional((_, work, { signal }) => {
      void work('tx').catch(() => {})
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('rolled back'))))
    })
    const one = watch(
      result(
        deduplicate,
        job(() => gate.promise, abort.signal),
      ),
    )
    abort.abort()
    await manual().quiet()
    expect(one.state).toBe('open')
    gate.resolve(FAILED)
    await manual().quiet()
    expect(one.value).toEqual(FAILED)
  })
})
