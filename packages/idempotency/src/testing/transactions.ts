// What a transactional store must do: the row and the handler's writes are one.
import assert from 'node:assert/strict'
import { call, rejects, type StoreCase } from './env.ts'
import type { StoreHarness } from './harness.ts'

const QUICKLY_MS = 10_000
const sharedStore = ({ shared = true }: StoreHarness): string | undefined =>
  shared ? undefined : 'it is the memory of one process'

function gate(): { readonly passed: Promise<void>; open(): void } {
  let open = (): void => {}
  const passed = new Promise<void>((resolve) => (open = resolve))
  return { passed, open }
}

export const transactionCases: readonly StoreCase[] = [
  {
    id: 't1',
    title: 'the handler’s writes are there with the row, and not before',
    kind: 'transactional',
    async run({ open, effects }) {
      const store = await open()
      const outcome = await store.handle('a', async (tx) => {
        await store.write(tx, 'one')
        await store.write(tx, 'two')
        assert.deepEqual(await effects(), [])
      })
      assert.equal(outcome, 'done')
      assert.deepEqual(await effects(), ['one', 'two'])
      assert.equal(await store.handle('a', (tx) => store.write(tx, 'again')), 'duplicate')
      assert.deepEqual(await effects(), ['one', 'two'])
    },
  },
  {
    id: 't2',
    title: 'a handler that throws takes its writes and the row back, and its error is what comes out',
    kind: 'transactional',
    async run({ open, effects }) {
      const store = await open()
      const failure = new Error('declined')
      const run = store.handle('a', async (tx) => {
        await store.write(tx, 'lost')
        throw failure
      })
      await assert.rejects(run, failure)
      assert.deepEqual(await effects(), [])
      assert.equal(await store.handle('a', (tx) => store.write(tx, 'kept')), 'done')
      assert.deepEqual(await effects(), ['kept'])
    },
  },
  {
    id: 't3',
    title: 'when the signal aborts it rolls back at once, whatever the handler does, and tx refuses use',
    kind: 'transactional',
    async run({ open, effects, within }) {
      const store = await open()
      const abort = new AbortController()
      const [inside, over] = [gate(), gate()]
      let late: unknown
      const handler = gate()
      const run = store.transactions.run(
        'a',
        async (tx) => {
          await store.write(tx, 'before')
          inside.open()
          await over.passed
          late = await store.write(tx, 'after').then(
            () => 'written',
            (error: unknown) => error,
          )
          handler.open()
        },
        call(abort.signal),
      )
      run.catch(() => {})
      await within(QUICKLY_MS, inside.passed, 'the handler to start')
      abort.abort(new Error('too late'))
      await within(QUICKLY_MS, rejects(run), 'the run to be rolled back')
      over.open()
      await within(QUICKLY_MS, handler.passed, 'the handler to end')
      assert.ok(late instanceof Error, `its tx was still good for use: ${String(late)}`)
      assert.deepEqual(await effects(), [])
      assert.equal(await store.handle('a', (tx) => store.write(tx, 'second')), 'done')
      assert.deepEqual(await effects(), ['second'])
    },
  },
  {
    id: 't4',
    title: 'after the handler has ended its tx refuses use, so that nothing is written outside of it',
    kind: 'transactional',
    async run({ open, effects }) {
      const store = await open()
      let kept: unknown
      await store.handle('a', async (tx) => {
        kept = tx
        await store.write(tx, 'inside')
      })
      await rejects(store.write(kept, 'outside'))
      await rejects(
        store.handle('b', async (tx) => {
          kept = tx
          throw new Error('failed')
        }),
      )
      await rejects(store.write(kept, 'outside'))
      assert.deepEqual(await effects(), ['inside'])
    },
  },
  {
    id: 't5',
    title: 'a signal that has aborted already starts nothing',
    kind: 'transactional',
    async run({ open, effects }) {
      const store = await open()
      let started = false
      const work = async (): Promise<void> => void (started = true)
      await rejects(store.transactions.run('a', work, call(AbortSignal.abort(new Error('stopped')))))
      assert.equal(started, false)
      assert.equal(await store.handle('a', (tx) => store.write(tx, 'one')), 'done')
      assert.deepEqual(await effects(), ['one'])
    },
  },
  {
    id: 't6',
    title: 'while one runs a key, another client is told busy without waiting for it, and duplicate afterwards',
    kind: 'transactional',
    needs: sharedStore,
    async run({ open, effects, within }) {
      const [first, second] = [await open({ timeout: '2000ms' }), await open({ timeout: '2000ms' })]
      const [inside, over] = [gate(), gate()]
      const run = first.handle('a', async (tx) => {
        await first.write(tx, 'first')
        inside.open()
        await over.passed
      })
      run.catch(() => {})
      await within(QUICKLY_MS, inside.passed, 'the first handler to start')
      const told = await within(
        QUICKLY_MS,
        second.handle('a', (tx) => second.write(tx, 'second')),
        'the second to be told busy',
      )
      assert.equal(told, 'busy')
      over.open()
      assert.equal(await run, 'done')
      assert.equal(await second.handle('a', (tx) => second.write(tx, 'second')), 'duplicate')
      assert.deepEqual(await effects(), ['first'])
    },
  },
  {
    id: 't7',
    title:
      'however many run one key, from several clients, its handler is inside once at a time and its effect is there once',
    kind: 'transactional',
    needs: sharedStore,
    async run({ open, effects }) {
      const stores = await Promise.all(Array.from({ length: 4 }, () => open()))
      let inside = 0
      const most: number[] = []
      const outcomes = await Promise.all(
        stores.flatMap((store) =>
          Array.from({ length: 16 }, () =>
            store.handle('a', async (tx) => {
              most.push(++inside)
              await store.write(tx, 'effect')
              inside--
            }),
          ),
        ),
      )
      assert.equal(outcomes.filter((outcome) => outcome === 'done').length, 1)
      assert.equal(Math.max(...most), 1)
      assert.deepEqual(await effects(), ['effect'])
    },
  },
  {
    id: 't8',
    title: 'keys that differ run to their end, however many come at once',
    kind: 'transactional',
    async run({ open, effects }) {
      const store = await open({ timeout: '20000ms' })
      const keys = Array.from({ length: 40 }, (_, index) => `k${index}`)
      const outcomes = await Promise.all(keys.map((key) => store.handle(key, (tx) => store.write(tx, key))))
      assert.deepEqual(new Set(outcomes), new Set(['done']))
      assert.deepEqual(await effects(), keys.toSorted())
    },
  },
  {
    id: 't9',
    title: 'a handler that swallows the failure of its own statement is not taken for done with its writes lost',
    kind: 'transactional',
    async run({ open, effects }) {
      const store = await open()
      let outcome: string | undefined
      try {
        outcome = await store.handle('a', async (tx) => {
          await store.write(tx, 'good')
          // No database takes it.
          await store.write(tx, null as unknown as string).catch(() => {})
        })
      } catch {
        outcome = undefined
      }
      assert.deepEqual(await effects(), outcome === 'done' ? ['good'] : [])
      if (outcome !== 'done') assert.equal(await store.handle('a', (tx) => store.write(tx, 'good')), 'done')
      assert.deepEqual(await effects(), ['good'])
    },
  },
  {
    id: 't10',
    title: 'a process killed in the middle of a transaction leaves neither its writes nor the row',
    kind: 'transactional',
    needs: sharedStore,
    async run({ open, child, effects, until }) {
      const store = await open()
      const doomed = await child()
      await doomed.order({ kind: 'hang', key: 'a', effect: 'doomed' })
      await doomed.kill()
      await until(async () => (await store.handle('a', (tx) => store.write(tx, 'second'))) === 'done', 'the key to run')
      assert.deepEqual(await effects(), ['second'])
    },
  },
  {
    id: 't11',
    title: 'a run that waits for its turn ends when its signal aborts',
    kind: 'transactional',
    async run({ open, effects, within, clock }) {
      const store = await open({ timeout: '60000ms' })
      const over = gate()
      // More than any pool has connections for.
      const running = Array.from({ length: 40 }, (_, index) =>
        store.handle(`k${index}`, async (tx) => {
          await over.passed
          await store.write(tx, `k${index}`)
        }),
      )
      const abort = new AbortController()
      const waiting = store.transactions.run('last', (tx) => store.write(tx, 'last'), call(abort.signal))
      waiting.catch(() => {})
      await clock.turn()
      abort.abort(new Error('stopped'))
      await within(QUICKLY_MS, rejects(waiting), 'the waiting run to end')
      over.open()
      assert.deepEqual(new Set(await Promise.all(running)), new Set(['done']))
      assert.equal((await effects()).includes('last'), false)
    },
  },
  {
    id: 't12',
    title:
      'a handler that ends the transaction by itself, and then fails or not: its message comes again, and is no duplicate',
    kind: 'transactional',
    async run({ open, effects }) {
      const store = await open()
      const { say } = store
      if (!say) return
      const ends: readonly (readonly [statements: readonly string[], fails: boolean])[] = [
        [['commit'], true],
        [['commit', 'begin'], true],
        [['rollback'], false],
        [['rollback', 'begin'], false],
        [['rollback'], true],
      ]
      for (const [statements, fails] of ends) {
        const key = `${statements.join()} ${fails}`
        const first = store.handle(key, async (tx) => {
          await store.write(tx, `first ${key}`)
          for (const statement of statements) await say(tx, statement)
          if (fails) throw new Error('after it')
        })
        await rejects(first)
        assert.equal(await store.handle(key, (tx) => store.write(tx, `again ${key}`)), 'done', key)
        assert.equal((await effects()).includes(`again ${key}`), true, key)
      }
      // A savepoint is the handler's own.
      const outcome = await store.handle('savepoint', async (tx) => {
        await say(tx, 'savepoint mine')
        await store.write(tx, 'undone')
        await say(tx, 'rollback to mine')
        await store.write(tx, 'kept')
      })
      assert.equal(outcome, 'done')
      const found = await effects()
      assert.deepEqual([found.includes('kept'), found.includes('undone')], [true, false])
    },
  },
]
