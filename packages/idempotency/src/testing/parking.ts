// What a store must do that can park messages behind dead letters: `Parking` in core's idempotency.ts is the promise.
import assert from 'node:assert/strict'
import type { ParkedLine, Parking, TransactionalParking } from '@polybus/core'
import type { Opened, StoreCase, StoreEnv } from './env.ts'
import type { StoreHarness } from './harness.ts'

const PREFIX = 'orders:mail:'
const LINE = `${PREFIX}ann`

const parks = ({ parks: can = false }: StoreHarness): string | undefined => (can ? undefined : 'it cannot park')
const shared = (harness: StoreHarness): string | undefined =>
  parks(harness) ?? (harness.shared === false ? 'it is the memory of one process' : undefined)
const withServer = (harness: StoreHarness): string | undefined =>
  shared(harness) ?? (harness.server ? undefined : 'the harness has no server of its own')

function parkingOf({ harness }: StoreEnv, store: Opened): Parking {
  const { parking } = harness.kind === 'claim' ? store.claims : store.transactions
  assert.ok(parking, `${harness.name} has no parking`)
  return parking
}
const open = async (env: StoreEnv): Promise<Parking> => parkingOf(env, await env.open())
const text = (id: string): string => JSON.stringify({ id, body: 'aGk=' })
const enter = async (parking: Parking, id: string, line = LINE): Promise<'free' | 'head' | 'parked'> =>
  parking.enter(line, id, text(id))
const block = async (parking: Parking, id: string, line = LINE): Promise<'head' | 'parked'> =>
  parking.block(line, id, text(id))
/** A line with a dead head and these behind it. */
async function blocked(parking: Parking, ids: readonly string[] = [], line = LINE): Promise<void> {
  assert.equal(await block(parking, 'm0', line), 'head')
  for (const id of ids) assert.equal(await enter(parking, id, line), 'parked')
}
/** Everything that the line still gives, in its order; in the end it is gone. */
async function drain(parking: Parking, line = LINE): Promise<string[]> {
  const ids: string[] = []
  for (let head = await parking.head(line); head; head = await parking.head(line)) {
    assert.equal(head.message, text(head.id))
    ids.push(head.id)
    await parking.advance(line, head.id)
  }
  return ids
}
async function all(parking: Parking, prefix = PREFIX, limit = 100): Promise<ParkedLine[]> {
  const lines: ParkedLine[] = []
  for (;;) {
    const page = await parking.list(prefix, lines.at(-1)?.line, limit)
    assert.ok(page.length <= limit)
    if (page.length === 0) return lines
    lines.push(...page)
  }
}

export const parkingCases: readonly StoreCase[] = [
  {
    id: 'p1',
    title: 'without a line everything is free, and nothing is kept',
    needs: parks,
    async run(env) {
      const parking = await open(env)
      for (const id of ['m1', 'm1', 'm2']) assert.equal(await enter(parking, id), 'free')
      assert.equal(await parking.advance(LINE, 'm1'), undefined)
      await parking.sent(LINE, 'm1')
      assert.equal(await parking.head(LINE), undefined)
      assert.deepEqual(await all(parking), [])
    },
  },
  {
    id: 'p2',
    title: 'what was blocked is the head; others are parked behind it, each once and in order of their first arrival',
    needs: parks,
    async run(env) {
      const parking = await open(env)
      await blocked(parking, ['m1', 'm2', 'm1', 'm3', 'm2'])
      assert.equal(await enter(parking, 'm0'), 'head')
      assert.deepEqual(await parking.head(LINE), { id: 'm0', message: text('m0'), state: 'dead' })
      assert.deepEqual(await all(parking), [{ line: LINE, head: 'm0', state: 'dead', waiting: 3 }])
      assert.deepEqual(await drain(parking), ['m0', 'm1', 'm2', 'm3'])
    },
  },
  {
    id: 'p3',
    title: 'another one that is blocked joins the tail; the head that is blocked again is dead, with its new message',
    needs: parks,
    async run(env) {
      const parking = await open(env)
      await blocked(parking, ['m1'])
      for (const id of ['m2', 'm1', 'm2']) assert.equal(await block(parking, id), 'parked')
      assert.equal(await parking.block(LINE, 'm0', 'edited'), 'head')
      assert.deepEqual(await parking.head(LINE), { id: 'm0', message: 'edited', state: 'dead' })
      await parking.advance(LINE, 'm0')
      assert.deepEqual(await drain(parking), ['m1', 'm2'])
    },
  },
  {
    id: 'p4',
    title: 'when the head is done the next one is due, and answered until it was sent',
    needs: parks,
    async run(env) {
      const parking = await open(env)
      await blocked(parking, ['m1', 'm2'])
      const due = { id: 'm1', message: text('m1') }
      for (let time = 0; time < 3; time++) assert.deepEqual(await parking.advance(LINE, 'm0'), due)
      assert.equal((await parking.head(LINE))?.state, 'due')
      await parking.sent(LINE, 'm0')
      await parking.sent(LINE, 'm2')
      assert.deepEqual(await parking.advance(LINE, 'm0'), due, 'another one that was sent changes nothing')
      await parking.sent(LINE, 'm1')
      assert.equal((await parking.head(LINE))?.state, 'sent')
      assert.equal(await parking.advance(LINE, 'm0'), undefined)
      assert.equal((await parking.advance(LINE, 'm1'))?.id, 'm2')
      assert.deepEqual(await all(parking), [{ line: LINE, head: 'm2', state: 'due', waiting: 0 }])
      assert.equal(await parking.advance(LINE, 'm2'), undefined)
      assert.deepEqual(await all(parking), [], 'without a tail the line goes')
      assert.equal(await enter(parking, 'm3'), 'free')
      assert.equal(await parking.advance(LINE, 'm2'), undefined)
    },
  },
  {
    id: 'p5',
    title: 'what is done but not the head changes nothing, and a dead head is never answered',
    needs: parks,
    async run(env) {
      const parking = await open(env)
      await blocked(parking, ['m1', 'm2'])
      for (const id of ['m1', 'm2', 'm9']) assert.equal(await parking.advance(LINE, id), undefined)
      await parking.sent(LINE, 'm0')
      assert.equal((await parking.head(LINE))?.state, 'dead')
      assert.deepEqual(await drain(parking), ['m0', 'm1', 'm2'])
    },
  },
  {
    id: 'p6',
    title: 'a head that was sent and fails stops the line; what arrives meanwhile joins the tail',
    needs: parks,
    async run(env) {
      const parking = await open(env)
      await blocked(parking, ['m1'])
      await parking.advance(LINE, 'm0')
      assert.equal(await enter(parking, 'm2'), 'parked')
      await parking.sent(LINE, 'm1')
      assert.equal(await enter(parking, 'm1'), 'head')
      assert.equal(await enter(parking, 'm3'), 'parked')
      assert.equal(await block(parking, 'm1'), 'head')
      await parking.sent(LINE, 'm1')
      assert.deepEqual(await all(parking), [{ line: LINE, head: 'm1', state: 'dead', waiting: 2 }])
      assert.equal(await parking.advance(LINE, 'm0'), undefined)
      assert.deepEqual(await drain(parking), ['m1', 'm2', 'm3'])
    },
  },
  {
    id: 'p7',
    title: 'nothing of a line expires or is forgotten with keys',
    needs: parks,
    async run(env) {
      const store = await env.open({ ttl: '50ms', cleanEvery: '20ms' })
      const parking = parkingOf(env, store)
      await blocked(parking, ['m1'])
      await store.handle(`${PREFIX}k`)
      await store.forget(PREFIX)
      assert.equal(await store.handle(`${PREFIX}k2`), 'done')
      await env.until(async () => (await store.handle(`${PREFIX}k2`)) === 'done', 'a key to run out')
      assert.deepEqual(await drain(parking), ['m0', 'm1'])
    },
  },
  {
    id: 'p8',
    title: 'lines and ids are apart, however much they look alike; long ones too',
    needs: parks,
    async run(env) {
      const parking = await open(env)
      const long = 'k'.repeat(3000)
      const awkward = ['a', 'A', ' a', 'a ', 'a\n', 'a:b', 'a%', 'a_', "a'b", 'a\\', '{a}', 'é', 'e\u0301', '👩‍👧']
      const names = [...awkward, `${long}a`, `${long}b`]
      for (const name of names) await blocked(parking, names, PREFIX + name)
      assert.equal((await all(parking)).length, names.length)
      for (const name of names) assert.deepEqual(await drain(parking, PREFIX + name), ['m0', ...names], name)
      assert.deepEqual(await all(parking), [])
    },
  },
  {
    id: 'p9',
    title: 'a message is kept to the letter, 1 MiB of it too',
    needs: parks,
    async run(env) {
      const parking = await open(env)
      const messages = ['{}', '"\\u0000 é 👩‍👧 \' % $1 {"', JSON.stringify({ body: 'x'.repeat(1024 * 1024) })]
      for (const [index, message] of messages.entries()) {
        await parking.block(LINE, `m${index}`, message)
        assert.equal((await parking.head(LINE))?.message, message)
        await parking.enter(LINE, 'behind', message)
        assert.equal((await parking.advance(LINE, `m${index}`))?.message, message)
        await parking.advance(LINE, 'behind')
      }
    },
  },
  {
    id: 'p10',
    title: 'lines are listed a page at a time, each once, and only those that start so',
    needs: parks,
    async run(env) {
      const parking = await open(env)
      const names = Array.from({ length: 25 }, (_, index) => `${PREFIX}k${index}`)
      for (const name of names) await blocked(parking, ['m1'], name)
      for (const other of ['orders:mail2:k', 'orders:mai', 'order%:mail:k', 'orders_mail:k'])
        await blocked(parking, [], other)
      for (const limit of [1, 10, 25, 100])
        assert.deepEqual(
          (await all(parking, PREFIX, limit)).toSorted((a, b) => names.indexOf(a.line) - names.indexOf(b.line)),
          names.map((line) => ({ line, head: 'm0', state: 'dead', waiting: 1 })),
        )
      assert.equal((await all(parking, 'order%')).length, 1, 'a prefix is no pattern')
      assert.equal((await all(parking, 'orders:mail2:')).length, 1)
    },
  },
  {
    id: 'p11',
    title: 'many at once, from two clients: each is in the tail once, and one of many becomes the head',
    needs: shared,
    async run(env) {
      const [one, two] = await Promise.all([open(env), open(env)])
      const ids = Array.from({ length: 20 }, (_, index) => `m${index}`)
      const how = await Promise.all(ids.flatMap((id) => [block(one, id), block(two, id)]))
      const heads = ids.filter((_, index) => how[index * 2] === 'head' || how[index * 2 + 1] === 'head')
      assert.equal(heads.length, 1, JSON.stringify(how))
      await Promise.all(ids.flatMap((id) => [enter(one, id), enter(two, id)]))
      const left = await drain(one)
      assert.equal(left[0], heads[0])
      assert.deepEqual(left.toSorted(), ids.toSorted())
    },
  },
  {
    id: 'p12',
    title: 'what arrives while the last one goes is free or in the tail, never neither',
    needs: shared,
    async run(env) {
      const [one, two] = await Promise.all([open(env), open(env)])
      const seen = { free: 0, parked: 0 }
      for (let round = 0; round < 60; round++) {
        const line = `${PREFIX}k${round}`
        await blocked(one, [], line)
        const [next, where] = await Promise.all([one.advance(line, 'm0'), enter(two, 'm1', line)])
        if (where === 'free') assert.equal(next ?? (await one.head(line)), undefined)
        else {
          assert.equal(where, 'parked')
          assert.equal((await one.advance(line, 'm0'))?.id, 'm1')
        }
        seen[where]++
      }
      assert.equal(seen.free + seen.parked, 60)
    },
  },
  {
    id: 'p13',
    title: 'what is parked outlives the client that parked it',
    needs: shared,
    async run(env) {
      const store = await env.open()
      const parking = parkingOf(env, store)
      assert.equal(parking.durable, true)
      await blocked(parking, ['m1'])
      await parking.advance(LINE, 'm0')
      await store.close()
      const other = await open(env)
      assert.equal((await other.head(LINE))?.state, 'due')
      assert.deepEqual(await drain(other), ['m1'])
    },
  },
  {
    id: 'p14',
    title: 'look tells free, head and behind, and changes nothing',
    kind: 'transactional',
    needs: parks,
    async run(env) {
      const store = await env.open()
      const parking = parkingOf(env, store) as TransactionalParking<unknown>
      const look = async (id: string): Promise<string> => {
        let where = ''
        await store.handle(`k${id}${Math.random()}`, async (tx) => void (where = await parking.look(LINE, id, tx)))
        return where
      }
      assert.equal(await look('m0'), 'free')
      await blocked(parking)
      assert.deepEqual([await look('m0'), await look('m1')], ['head', 'behind'])
      assert.deepEqual(await drain(parking), ['m0'])
    },
  },
  {
    id: 'p15',
    title: 'with tx the advance commits with the handler, or not at all',
    kind: 'transactional',
    needs: parks,
    async run(env) {
      const store = await env.open()
      const parking = parkingOf(env, store) as TransactionalParking<unknown>
      await blocked(parking, ['m1'])
      const handle = (fail: boolean): Promise<unknown> =>
        store.handle('k', async (tx) => {
          assert.equal((await parking.advance(LINE, 'm0', tx))?.id, 'm1')
          if (fail) throw new Error('rolled back')
        })
      await assert.rejects(handle(true))
      assert.deepEqual(await all(parking), [{ line: LINE, head: 'm0', state: 'dead', waiting: 1 }])
      assert.equal(await handle(false), 'done')
      assert.deepEqual(await all(parking), [{ line: LINE, head: 'm1', state: 'due', waiting: 0 }])
    },
  },
  {
    id: 'p16',
    title: 'what is parked outlives a server that is killed',
    needs: withServer,
    async run(env) {
      const parking = await open(env)
      await blocked(parking, ['m1', 'm2'])
      await parking.advance(LINE, 'm0')
      await env.harness.server?.kill()
      await assert.rejects(async () => enter(parking, 'm3'))
      await env.harness.server?.start()
      const again = await open(env)
      assert.deepEqual(await all(again), [{ line: LINE, head: 'm1', state: 'due', waiting: 1 }])
      assert.deepEqual(await drain(again), ['m1', 'm2'])
    },
  },
]
