// What every store must do, claim or transactional.
import assert from 'node:assert/strict'
import { type Clock, systemClock } from '@polybus/core'
import type { Opened, Outcome, StoreCase } from './env.ts'
import type { StoreHarness } from './harness.ts'

const HOUR_MS = 3_600_000
const CLIENTS = 4
const SHARE = 16

const shared = ({ shared: is = true }: StoreHarness): string | undefined =>
  is ? undefined : 'it is the memory of one process'
const together = (store: Opened, key: string, count: number): Promise<Outcome[]> =>
  Promise.all(Array.from({ length: count }, () => store.handle(key)))

/** One handled it, and whoever else asked was told the truth. */
function oneWon(outcomes: readonly Outcome[], count: number): void {
  assert.equal(outcomes.length, count)
  assert.equal(outcomes.filter((outcome) => outcome === 'done').length, 1, JSON.stringify(outcomes))
}

function shifted(byMs: number): Clock {
  const clock = systemClock()
  return {
    now: () => clock.now() + byMs,
    wall: () => clock.wall() + byMs,
    timer: clock.timer,
    turn: clock.turn,
  }
}

const long = (end: string, length: number): string => 'k'.repeat(length) + end

/** Each is another key than all the others, however much they look alike to some server. */
const AWKWARD: readonly string[] = [
  'a',
  'A',
  ' a',
  'a ',
  'a\n',
  'a\t',
  "a'b",
  'a"b',
  'a\\b',
  'a\\\\b',
  'a%b',
  'a_b',
  'a*b',
  'a?b',
  'a[b]',
  'a:b',
  'a::b',
  '{a}b',
  'a$1b',
  'é',
  'e\u0301',
  '日本語',
  '👩‍👩‍👧',
  'a\0b',
  'a\0c',
  '\ud800',
  '\ud801',
  '\ufffd',
  'ß',
  'ss',
  long('a', 700),
  long('b', 700),
  long('a', 1500),
  long('b', 1500),
  long('a', 20_000),
  long('b', 20_000),
  '日'.repeat(700),
  `${'日'.repeat(700)}本`,
]

export const commonCases: readonly StoreCase[] = [
  {
    id: 's1',
    title: 'what was handled is a duplicate, for every client and every process',
    async run({ open, child, harness }) {
      const store = await open()
      assert.equal(await store.handle('a'), 'done')
      assert.equal(await store.handle('a'), 'duplicate')
      if (shared(harness) !== undefined) return
      assert.equal(await (await open()).handle('a'), 'duplicate')
      assert.deepEqual((await (await child()).order({ kind: 'race', key: 'a', count: 1 })).outcomes, ['duplicate'])
    },
  },
  {
    id: 's2',
    title: `of ${CLIENTS * SHARE} who want one key at once, from one client, one wins`,
    async run({ open }) {
      const store = await open()
      for (const key of ['a', 'b', 'c']) oneWon(await together(store, key, CLIENTS * SHARE), CLIENTS * SHARE)
    },
  },
  {
    id: 's3',
    title: `of ${CLIENTS * SHARE} who want one key at once, from ${CLIENTS} clients, one wins`,
    needs: shared,
    async run({ open }) {
      const stores = await Promise.all(Array.from({ length: CLIENTS }, () => open()))
      for (const key of ['a', 'b', 'c']) {
        const outcomes = await Promise.all(stores.map((store) => together(store, key, SHARE)))
        oneWon(outcomes.flat(), CLIENTS * SHARE)
      }
    },
  },
  {
    id: 's4',
    title: `of ${CLIENTS * SHARE} who want one key at once, from ${CLIENTS} processes, one wins`,
    needs: shared,
    async run({ child }) {
      const children = await Promise.all(Array.from({ length: CLIENTS }, () => child()))
      for (const key of ['a', 'b', 'c']) {
        const answers = await Promise.all(children.map((one) => one.order({ kind: 'race', key, count: SHARE })))
        oneWon(
          answers.flatMap(({ outcomes }) => outcomes),
          CLIENTS * SHARE,
        )
      }
    },
  },
  {
    id: 's5',
    title: 'a handler that failed leaves nothing behind: the key runs again',
    async run({ open, harness }) {
      const store = await open()
      const failure = new Error('the handler failed')
      if (harness.kind === 'transactional')
        await assert.rejects(
          store.handle('a', () => Promise.reject(failure)),
          failure,
        )
      else {
        const claim = await store.claims.claim('a', 1000)
        if (claim.status === 'claimed') await store.claims.release('a', claim.fence)
      }
      assert.equal(await store.handle('a'), 'done')
    },
  },
  {
    id: 's6',
    title: 'forget takes the keys that begin so, letter for letter, and no others',
    async run({ open }) {
      const store = await open()
      const begins = ['orders:g:1', 'orders:g:2', 'orders:g:%', `orders:g:${'x'.repeat(2000)}`]
      const others = ['orders:gg:1', 'orders:h:1', 'ordersXg:1', 'Orders:g:1', 'orders:g', 'x:orders:g:1']
      for (const key of [...begins, ...others]) assert.equal(await store.handle(key), 'done')
      await store.forget('orders:g:')
      for (const key of others) assert.equal(await store.handle(key), 'duplicate', key)
      for (const key of begins) assert.equal(await store.handle(key), 'done', key.slice(0, 20))
    },
  },
  {
    id: 's7',
    title: 'forget takes %, _, *, ?, [, ] and \\ as they stand',
    async run({ open }) {
      for (const sign of ['%', '_', '*', '?', '[a-z]', '\\', '\\%', '^', "'"]) {
        const store = await open()
        const [mine, other] = [`${sign}-p${sign}:1`, `z-pz:1`]
        assert.equal(await store.handle(mine), 'done')
        await store.handle(other)
        await store.forget(`${sign}-p${sign}:`)
        assert.equal(await store.handle(other), 'duplicate', sign)
        assert.equal(await store.handle(mine), 'done', sign)
      }
    },
  },
  {
    id: 's8',
    title: 'a handled key is remembered for its time, then runs again',
    async run({ open, until }) {
      const store = await open({ ttl: '400ms' })
      const lasting = await open({ ttl: '1h' })
      assert.equal(await lasting.handle('lasting'), 'done')
      assert.equal(await store.handle('a'), 'done')
      assert.equal(await store.handle('a'), 'duplicate')
      await until(async () => (await store.handle('a')) === 'done', 'the key to be forgotten')
      assert.equal(await lasting.handle('lasting'), 'duplicate')
    },
  },
  {
    id: 's9',
    title: 'what is past its time is removed by itself, until the store is closed',
    needs: ({ rows }) => (rows ? undefined : 'the harness cannot count rows'),
    async run({ open, harness, namespace, until }) {
      const store = await open({ ttl: '200ms', cleanEvery: '50ms' })
      const other = await open({ ttl: '200ms', cleanEvery: '50ms' })
      const rows = (): Promise<number> => harness.rows?.(namespace) ?? Promise.resolve(-1)
      await Promise.all(Array.from({ length: 50 }, async (_, index) => (index % 2 ? store : other).handle(`k${index}`)))
      await until(async () => (await rows()) === 0, 'all of it to be removed')
    },
  },
  {
    id: 's10',
    title:
      'the server says what time it is: a process whose clock is an hour ahead forgets nothing early, and takes nothing over',
    needs: ({ time = 'server' }) => (time === 'server' ? undefined : 'its time is that of its process'),
    async run({ open, harness }) {
      const right = await open({ ttl: '30m' })
      const ahead = await open({ ttl: '30m', clock: shifted(HOUR_MS) })
      const behind = await open({ ttl: '30m', clock: shifted(-HOUR_MS) })
      assert.equal(await right.handle('a'), 'done')
      assert.equal(await ahead.handle('a'), 'duplicate')
      assert.equal(await behind.handle('b'), 'done')
      assert.equal(await right.handle('b'), 'duplicate')
      if (harness.kind !== 'claim') return
      const claim = await right.claims.claim('c', 60_000)
      assert.equal(claim.status, 'claimed')
      assert.equal((await ahead.claims.claim('c', 60_000)).status, 'busy')
    },
  },
  {
    id: 's11',
    title: 'keys that look alike to a server are different keys, long ones and broken Unicode too, or are refused',
    async run({ open }) {
      const store = await open()
      const refused: string[] = []
      const handled: string[] = []
      for (const key of AWKWARD) {
        let outcome: Outcome
        try {
          outcome = await store.handle(key)
        } catch {
          refused.push(key)
          continue
        }
        assert.equal(outcome, 'done', `${JSON.stringify(key.slice(-30))} of ${key.length}`)
        handled.push(key)
      }
      for (const key of handled) assert.equal(await store.handle(key), 'duplicate', JSON.stringify(key.slice(-30)))
      // Only what no text can be, and what is longer than any id.
      const mayBe = (key: string): boolean => key.length > 1024 || key.includes('\0') || /\p{Surrogate}/u.test(key)
      assert.deepEqual(
        refused.filter((key) => !mayBe(key)),
        [],
      )
    },
  },
]
