// While the server is away: nothing is guessed, every call ends, and it goes on afterwards.
import assert from 'node:assert/strict'
import { LEASE_MS, type Opened, type Outcome, rejects, type StoreCase, type StoreEnv } from './env.ts'
import type { ServerFaults, StoreHarness } from './harness.ts'

const ENDS_MS = 20_000

const serverOf = ({ server }: StoreHarness): ServerFaults => {
  if (!server) throw new Error('the harness has no server')
  return server
}
const killable = ({ server }: StoreHarness): string | undefined => (server ? undefined : 'there is no server')
const pausable = ({ server }: StoreHarness): string | undefined =>
  server?.pause && server.resume ? undefined : 'the harness cannot pause the server'

/** The first calls after a restart may still meet a connection that died. What the first one that is answered is told. */
async function told(
  { until }: StoreEnv,
  store: Opened,
  key: string,
  work?: (tx: unknown) => Promise<void>,
): Promise<Outcome | undefined> {
  let outcome: Outcome | undefined
  await until(async () => {
    outcome = await store.handle(key, work).catch(() => undefined)
    return outcome !== undefined && outcome !== 'busy'
  }, `the store to answer about ${key}`)
  return outcome
}

/** A claim whose answer was lost is busy until its lease ends, so each try has a key of its own. */
async function works({ until }: StoreEnv, store: Opened): Promise<void> {
  let tries = 0
  await until(
    async () => (await store.handle(`after${++tries}`).catch(() => undefined)) === 'done',
    'the store to work again',
  )
}

export const serverCases: readonly StoreCase[] = [
  {
    id: 'x1',
    title:
      'a store whose server was killed says STORE_UNAVAILABLE, works again after the restart, and still knows what was handled',
    needs: killable,
    async run(env) {
      const { open, harness, within } = env
      const server = serverOf(harness)
      const store = await open({ timeout: '2000ms' })
      assert.equal(await store.handle('before'), 'done')
      await server.kill()
      try {
        await within(ENDS_MS, rejects(store.handle('meanwhile'), 'STORE_UNAVAILABLE'), 'the call to end')
      } finally {
        await server.start()
      }
      await works(env, store)
      assert.equal(await told(env, store, 'before'), 'duplicate')
      assert.equal(await (await open()).handle('before'), 'duplicate')
    },
  },
  {
    id: 'x2',
    title:
      'a server killed between claim and completion: the completion counts once it is back, or the lease frees the key',
    kind: 'claim',
    needs: killable,
    async run(env) {
      const { open, harness, until, within } = env
      const server = serverOf(harness)
      const { claims } = await open({ timeout: '2000ms' })
      const [kept, left] = [await claims.claim('kept', LEASE_MS), await claims.claim('left', 3000)]
      assert.deepEqual([kept.status, left.status], ['claimed', 'claimed'])
      const fence = 'fence' in kept ? kept.fence : undefined
      await server.kill()
      try {
        const completed = (async () => claims.complete('kept', fence))()
        await within(ENDS_MS, rejects(completed, 'STORE_UNAVAILABLE'), 'the completion to end')
      } finally {
        await server.start()
      }
      await until(async () => {
        try {
          return await claims.complete('kept', fence)
        } catch {
          return false
        }
      }, 'the completion to be taken')
      assert.equal((await claims.claim('kept', LEASE_MS)).status, 'duplicate')
      await until(async () => (await claims.claim('left', LEASE_MS)).status === 'claimed', 'the lease to end', ENDS_MS)
    },
  },
  {
    id: 'x3',
    title: 'a server killed in the middle of a transaction takes the writes with it, and the key runs again',
    kind: 'transactional',
    needs: killable,
    async run(env) {
      const { open, harness, effects, within } = env
      const server = serverOf(harness)
      const store = await open({ timeout: '2000ms' })
      const run = store.handle('a', async (tx) => {
        await store.write(tx, 'first')
        await server.kill()
      })
      try {
        await within(ENDS_MS, rejects(run, 'STORE_UNAVAILABLE'), 'the run to end')
      } finally {
        await server.start()
      }
      assert.equal(await told(env, store, 'a', (tx) => store.write(tx, 'second')), 'done')
      assert.deepEqual(await effects(), ['second'])
    },
  },
  {
    id: 'x4',
    title: 'a server that stands still makes no call wait longer than its limit, and is used again when it goes on',
    needs: pausable,
    async run(env) {
      const { open, harness, within } = env
      const server = serverOf(harness)
      const store = await open({ timeout: '500ms' })
      assert.equal(await store.handle('before'), 'done')
      await server.pause?.()
      try {
        const calls = Array.from({ length: 20 }, (_, index) => rejects(store.handle(`k${index}`), 'STORE_UNAVAILABLE'))
        await within(ENDS_MS, Promise.all(calls), 'the calls to end')
      } finally {
        await server.resume?.()
      }
      await works(env, store)
      assert.equal(await told(env, store, 'before'), 'duplicate')
    },
  },
  {
    id: 'x5',
    title: 'a transaction on a server that stands still ends in time when its signal aborts',
    kind: 'transactional',
    needs: pausable,
    async run(env) {
      const { open, harness, effects, within } = env
      const server = serverOf(harness)
      const store = await open({ timeout: '500ms' })
      const abort = new AbortController()
      const run = store.transactions.run(
        'a',
        async (tx) => {
          await store.write(tx, 'first')
          await server.pause?.()
          abort.abort(new Error('stopped'))
          await new Promise<never>(() => {})
        },
        { signal: abort.signal },
      )
      try {
        await within(ENDS_MS, rejects(run), 'the run to end')
      } finally {
        await server.resume?.()
      }
      assert.equal(await told(env, store, 'a', (tx) => store.write(tx, 'second')), 'done')
      assert.deepEqual(await effects(), ['second'])
    },
  },
]
