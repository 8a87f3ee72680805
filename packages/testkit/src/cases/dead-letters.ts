import assert from 'node:assert/strict'
import { type Bus, channel, type DeadLetter, fixed, NonRetryable, trust, type WireMessage } from '@polybus/core'
import { all, browsing, type Case, foreign } from '../case.ts'
import type { Env, Item, ItemChannel } from '../env.ts'
import { gate, type Gate } from '../wait.ts'
import { comparable, sameBytes, sorted, withoutOurs } from './driver-tools.ts'

class Declined extends Error {
  override name = 'Declined'
}

async function list(
  bus: Bus,
  flow: ItemChannel,
  group = 'work',
  ...selection: Parameters<ReturnType<Bus['deadLetters']>['list']>
): Promise<readonly DeadLetter<Item>[]> {
  const letters: DeadLetter<Item>[] = []
  for await (const letter of bus.deadLetters(flow, group).list(...selection)) letters.push(letter)
  return letters
}

/** Fails until the gate opens. */
async function failing(env: Env, flow: ItemChannel, fixedNow: Gate, attempts = 2): Promise<Bus> {
  const bus = await env.bus()
  await bus.start(
    env.consumer(flow, 'work', {
      retry: { attempts, backoff: fixed('5ms'), wait: 'held' },
      handler: () => (fixedNow.isOpen ? undefined : Promise.reject(new Declined('card declined'))),
    }),
  )
  return bus
}

const count = async (env: Env, bus: Bus, flow: ItemChannel, wanted: number): Promise<readonly DeadLetter<Item>[]> => {
  let letters: readonly DeadLetter<Item>[] = []
  await env.waitFor(
    async () => (letters = await list(bus, flow)).length === wanted,
    () => `${wanted} dead letters; there are ${letters.length}`,
  )
  return letters
}

export const cases: readonly Case[] = [
  {
    id: '6a',
    title: 'a dead letter has the original bytes, key, headers and id, the reason, the error, attempts and times',
    tier: 'plain',
    needs: browsing,
    async run(env) {
      const flow = env.channel({ keyed: env.keyed.ordering })
      const bus = await failing(env, flow, gate(), 3)
      const item = env.item('c-1', { text: 'é' })
      const before = env.clock.wall()
      await env.publish(bus, flow, item, { headers: { tenant: 'x' }, correlationId: 'order-9' })
      const [letter] = await count(env, bus, flow, 1)
      assert.ok(letter)
      assert.equal(letter.id, item.id)
      assert.equal(letter.message.id, item.id)
      if (env.keyed.ordering) assert.equal(letter.message.key, 'c-1')
      assert.deepEqual({ ...letter.message.headers }, { tenant: 'x' })
      assert.equal(letter.message.correlationId, 'order-9')
      sameBytes(letter.message.body, Buffer.from(JSON.stringify(item)))
      assert.deepEqual(letter.value, item)
      assert.equal(letter.reason, 'attempts-exhausted')
      assert.deepEqual(letter.error, { name: 'Declined', message: 'card declined' })
      assert.equal(letter.attempts, 3)
      const [first, last] = [letter.firstFailedAt.getTime(), letter.lastFailedAt.getTime()]
      assert.ok(
        first >= before - 60_000 && last >= first && last <= env.clock.wall() + 60_000,
        'first and last failure have their times',
      )
    },
  },
  {
    id: '6b',
    title: 'a foreign message keeps its bytes and headers, and its frozen id',
    tier: 'plain',
    needs: all(browsing, foreign),
    async run(env) {
      const flow = env.channel()
      const open = gate()
      const bus = await failing(env, flow, open)
      const body = Buffer.from('{"n": 1,  "spaces":   "kept"}')
      const headers: WireMessage['headers'] = [
        ['x-legacy', 'yes'],
        ['trace', 'abc'],
      ]
      await env.foreign?.send(flow.name, { body, headers, contentType: 'application/json' })
      const [letter] = await count(env, bus, flow, 1)
      assert.ok(letter)
      sameBytes(letter.message.body, body)
      assert.deepEqual({ ...letter.message.headers }, { 'x-legacy': 'yes', trace: 'abc' })
      const id = env.runs(flow, 'work')[0]?.id
      assert.equal(letter.id, id, 'the id that the handler saw')
      const raw = await env.foreign?.deadLetters?.(flow.name, 'work')
      if (raw) {
        const can = env.plain.headers
        assert.deepEqual(comparable(withoutOurs(raw[0]?.headers ?? []), can), comparable(headers, can))
        sameBytes(raw[0]?.body, body)
      }
      open.open()
      await bus.deadLetters(flow, 'work').replay({ ids: [letter.id] })
      await env.waitFor(() => env.ledger.handled(flow.name, 'work').length === 1, 'the replay')
      assert.equal(env.ledger.handled(flow.name, 'work')[0], id, 'the replay has the same id')
    },
  },
  {
    id: '6c',
    title: 'looking thirty times changes nothing',
    tier: 'plain',
    needs: browsing,
    async run(env) {
      const flow = env.channel()
      const bus = await failing(env, flow, gate(), 1)
      await env.publishAll(bus, flow, env.items(25))
      const letters = await count(env, bus, flow, 25)
      const shape = (some: readonly DeadLetter<Item>[]): unknown =>
        some.map(({ id, attempts, reason, message }) => [id, attempts, reason, message.rawHeaders])
      for (let look = 0; look < 30; look++)
        assert.deepEqual(shape(await list(bus, flow)), shape(letters), `look ${look}`)
    },
  },
  {
    id: '6d',
    title: 'a replay goes to the failing group only, starts anew, fails again and replays again with identical headers',
    tier: 'plain',
    needs: browsing,
    async run(env) {
      const flow = env.channel({ groups: ['work', 'other'] })
      const open = gate()
      const bus = await failing(env, flow, open)
      await bus.start(env.consumer(flow, 'other'))
      const item = env.item()
      await env.publish(bus, flow, item, { headers: { a: '1', b: '2' } })
      const [first] = await count(env, bus, flow, 1)
      assert.ok(first)
      const replay = async (): Promise<void> =>
        assert.deepEqual(await bus.deadLetters(flow, 'work').replay({ ids: [item.id] }), { done: 1, failed: 0 })
      for (let round = 2; round <= 3; round++) {
        await replay()
        await env.waitFor(() => env.runs(flow, 'work').length === round * 2, `round ${round} to run both attempts`)
        const [again] = await count(env, bus, flow, 1)
        assert.deepEqual(again?.message.rawHeaders, first.message.rawHeaders, 'headers are identical')
        assert.equal(again?.attempts, 2)
        sameBytes(again?.message.body, first.message.body)
      }
      assert.deepEqual(
        env.runs(flow, 'work').map(({ attempt }) => attempt),
        [1, 2, 1, 2, 1, 2],
      )
      open.open()
      await replay()
      await env.waitFor(() => env.ledger.handled(flow.name, 'work').includes(item.id), 'the replay to succeed')
      await count(env, bus, flow, 0)
      assert.equal(env.runs(flow, 'other').length, 1, 'the other group got nothing of it')
      const raw = await env.foreign?.deadLetters?.(flow.name, 'work')
      if (raw) assert.equal(raw.length, 0)
    },
  },
  {
    id: '6e',
    title: 'what a replayed handler sees is the original: none of our headers',
    tier: 'plain',
    needs: browsing,
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const seen: (readonly string[])[] = []
      await bus.start(
        env.consumer(flow, 'work', {
          retry: { attempts: 1 },
          handler(_, { message }) {
            seen.push(message.rawHeaders.map(([name]) => name))
            if (seen.length === 1) throw new Error('once')
          },
        }),
      )
      const item = env.item()
      await env.publish(bus, flow, item, { headers: { mine: '1' } })
      await count(env, bus, flow, 1)
      await bus.deadLetters(flow, 'work').replay({ ids: [item.id] })
      await env.waitFor(() => seen.length === 2, 'the replay')
      assert.deepEqual(seen, [['mine'], ['mine']])
    },
  },
  {
    id: '6f',
    title: 'what is discarded is gone, the rest stays',
    tier: 'plain',
    needs: browsing,
    async run(env) {
      const flow = env.channel()
      const bus = await failing(env, flow, gate(), 1)
      const [one, two, three] = env.items(3)
      assert.ok(one && two && three)
      await env.publishAll(bus, flow, [one, two, three])
      await count(env, bus, flow, 3)
      env.ledger.excuse(flow.name, 'work', { loss: true })
      assert.deepEqual(await bus.deadLetters(flow, 'work').discard({ ids: [two.id] }), { done: 1, failed: 0 })
      assert.deepEqual(sorted((await list(bus, flow)).map(({ id }) => id)), sorted([one.id, three.id]))
    },
  },
  {
    id: '6i',
    title: 'many are discarded at one time: what was reported gone stays gone after the look has ended',
    tier: 'plain',
    needs: browsing,
    async run(env) {
      const many = 150
      const flow = env.channel()
      const bus = await failing(env, flow, gate(), 1)
      await env.publishAll(bus, flow, env.items(many))
      await count(env, bus, flow, many)
      env.ledger.excuse(flow.name, 'work', { loss: true })
      // A look may show fewer than there are; what it was given back is nobody's for a moment.
      let done = 0
      await env.waitFor(
        async () => {
          const acted = await bus.deadLetters(flow, 'work').discard({})
          assert.equal(acted.failed, 0)
          done += acted.done
          return acted.done === 0 && (await list(bus, flow)).length === 0
        },
        () => `all to be discarded; ${done} were`,
      )
      assert.equal(done, many)
    },
  },
  {
    id: '6g',
    title: 'edit and replay sends the new value under the old id and key',
    tier: 'plain',
    needs: browsing,
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const values: Item[] = []
      await bus.start(
        env.consumer(flow, 'work', {
          retry: false,
          handler(item) {
            values.push(item)
            if (item.text !== 'fixed') throw new Error('broken text')
          },
        }),
      )
      const item = env.item(undefined, { text: 'broken' })
      await env.publish(bus, flow, item)
      await count(env, bus, flow, 1)
      const done = await bus
        .deadLetters(flow, 'work')
        .replay({ ids: [item.id] }, { edit: (value) => ({ ...(value as Item), text: 'fixed' }) })
      assert.deepEqual(done, { done: 1, failed: 0 })
      await env.waitFor(
        () => env.ledger.handled(flow.name, 'work').includes(item.id),
        'the edited message under its id',
      )
      assert.deepEqual(values.at(-1), { ...item, text: 'fixed' })
      await count(env, bus, flow, 0)
    },
  },
  {
    id: '6h',
    title: 'letters are chosen by reason, error, key and time',
    tier: 'plain',
    needs: browsing,
    async run(env) {
      const flow = env.known(channel(env.name(), { schema: trust<Item>(), groups: ['work'], key: (item) => item.key }))
      const bus = await env.bus()
      await bus.start(
        env.consumer(flow, 'work', {
          retry: { attempts: 1 },
          handler: ({ text }) =>
            Promise.reject(text === 'never' ? new NonRetryable('never') : new Declined('declined')),
        }),
      )
      const items = [env.item('k1', { text: 'never' }), env.item('k1'), env.item('k2')]
      await env.publishAll(bus, flow, items)
      await count(env, bus, flow, 3)
      const ids = async (selection: Parameters<typeof list>[3]): Promise<readonly (string | undefined)[]> =>
        sorted((await list(bus, flow, 'work', selection)).map(({ id }) => id))
      const of = (...indexes: readonly number[]): readonly (string | undefined)[] =>
        sorted(indexes.map((index) => items[index]?.id))
      assert.deepEqual(await ids({ reason: 'non-retryable' }), of(0))
      assert.deepEqual(await ids({ errorName: 'Declined' }), of(1, 2))
      assert.deepEqual(await ids({ key: 'k1' }), of(0, 1))
      assert.deepEqual(await ids({ key: 'k1', errorName: 'Declined' }), of(1))
      assert.deepEqual(await ids({ since: new Date(env.clock.wall() + 3_600_000) }), [])
      assert.deepEqual(await ids({ until: new Date(env.clock.wall() + 3_600_000) }), of(0, 1, 2))
      assert.deepEqual(await ids({}), of(0, 1, 2))
    },
  },
]
