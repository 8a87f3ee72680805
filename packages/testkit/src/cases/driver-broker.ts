import assert from 'node:assert/strict'
import { able, all, assignedLanes, browsing, type Case, faults } from '../case.ts'
import { PolybusError } from '@polybus/core'
import { block, blocking } from './outage.ts'
import { outgoing, wireMessage as wire } from '../driver.ts'
import { driver, sorted, sortedIds } from './driver-tools.ts'

export const cases: readonly Case[] = [
  {
    id: 'd8',
    title: 'stats tell backlog, messages in flight, age and dead letters, or null',
    tier: 'driver',
    needs: able('stats', ({ adapter }) => adapter.stats !== undefined),
    async run(env) {
      const { adapter, channel, send, subscribe, to } = await driver(env)
      const read = (): Promise<Record<string, number | null>> =>
        (adapter.stats?.read(channel, 'work', env.call) ?? Promise.reject(new Error('no stats'))) as never
      const can = env.plain.stats
      const expected = (backlog: number, inFlight: number, deadLetters: number): object => ({
        backlog: can.backlog ? backlog : null,
        inFlight: can.inFlight ? inFlight : null,
        deadLetters: can.deadLetters ? deadLetters : null,
      })
      const eventually = async (wanted: object): Promise<void> => {
        let last: object = {}
        await env.waitFor(
          async () => {
            const { oldestAgeMs: _, ...counts } = await read()
            last = counts
            return JSON.stringify(ordered(counts)) === JSON.stringify(ordered(wanted))
          },
          () => `${JSON.stringify(wanted)}, last ${JSON.stringify(last)}`,
        )
      }
      await eventually(expected(0, 0, 0))
      for (let n = 0; n < 3; n++) await send(wire())
      await eventually(expected(3, 0, 0))
      const member = await subscribe('work', { maxInFlight: 1 })
      const [delivery] = await member.take(1)
      assert.ok(delivery)
      await eventually(expected(2, 1, 0))
      await member.settle({ token: delivery.token, kind: 'move', to: to('dead-letter', 'work'), headers: [] })
      await eventually(expected(2, 0, 1))
      const age = (await read())['oldestAgeMs']
      assert.equal(age !== null, can.oldestAgeMs !== null)
    },
  },
  {
    id: 'd9',
    title: 'a browse session shows all dead letters again and again, and removes single ones',
    tier: 'driver',
    needs: browsing,
    async run(env) {
      const { adapter, channel, send, to } = await driver(env)
      const messages = Array.from({ length: 7 }, () => wire())
      for (const message of messages) await send(message, to('dead-letter', 'work'))
      const { browse } = adapter
      assert.ok(browse)
      const look = async (): Promise<readonly (string | undefined)[]> => {
        const session = await browse.open(channel, 'work', env.call)
        const seen: (string | undefined)[] = []
        for (let some = await session.next(3, env.call); some.length > 0; some = await session.next(3, env.call)) {
          assert.ok(some.length <= 3)
          seen.push(...some.map(({ message }) => message.id))
        }
        await session.close()
        return seen
      }
      for (let round = 0; round < 25; round++)
        assert.deepEqual(
          await look(),
          messages.map(({ id }) => id),
          `look ${round}`,
        )
      const session = await browse.open(channel, 'work', env.call)
      const shown = await session.next(10, env.call)
      const second = shown[1]
      assert.ok(second)
      const [removed, missing] = await session.remove([second.position, 'no/such'], env.call)
      assert.ok(removed?.ok)
      assert.ok(missing && !missing.ok, 'a position that is not there is no success')
      await session.close()
      assert.deepEqual(
        await look(),
        messages.filter((_, index) => index !== 1).map(({ id }) => id),
      )
    },
  },
  {
    id: 'd10',
    title: 'one refused entry of a batch fails alone',
    tier: 'driver',
    needs: blocking,
    async run(env) {
      const { adapter, channel, subscribe, to } = await driver(env)
      const messages = Array.from({ length: 10 }, () => wire())
      const undo = await block(env, 'dead-letter', channel.name)
      const results = await adapter.send(
        messages.map((message, index) => outgoing(message, index === 4 ? to('dead-letter', 'work') : to('channel'))),
        env.call,
      )
      await undo()
      assert.deepEqual(
        results.map(({ ok }) => ok),
        messages.map((_, index) => index !== 4),
      )
      const member = await subscribe('work')
      const deliveries = [...(await member.take(9)), ...(await member.take(1, 500))]
      assert.deepEqual(sortedIds(deliveries), sorted(messages.filter((_, index) => index !== 4).map(({ id }) => id)))
    },
  },
  {
    id: 'd11',
    title: 'size counts body and headers',
    tier: 'driver',
    async run(env) {
      const { adapter } = await driver(env)
      const base = adapter.size(wire({ body: new Uint8Array(0) }))
      assert.ok(adapter.size(wire({ body: new Uint8Array(1000) })) >= base + 1000)
      assert.ok(adapter.size(wire({ body: new Uint8Array(0), headers: [['name', 'é'.repeat(100)]] })) >= base + 104)
      assert.ok(adapter.size(wire({ body: null })) > 0)
    },
  },
  {
    id: 'd14',
    title: 'an entry for some groups reaches these alone',
    tier: 'driver',
    async run(env) {
      const { send, subscribe, to } = await driver(env, { groups: ['work', 'other'] })
      await send(wire(), to('channel'), ['other'])
      assert.equal((await (await subscribe('other')).take(1)).length, 1)
      assert.equal((await (await subscribe('work')).take(1, 300)).length, 0)
    },
    needs: able('fan-out by hand', ({ plain }) => plain.groups === 'declared'),
  },
  {
    id: 'd15',
    title: 'topology that is there needs no change; one group more is one',
    tier: 'driver',
    needs: able('topology', ({ adapter }) => adapter.topology !== undefined),
    async run(env) {
      const { adapter, channel } = await driver(env, { keyed: true, partitions: 4 })
      assert.deepEqual((await adapter.topology?.plan([channel], env.call))?.changes, [])
      const added = await adapter.topology?.plan([{ ...channel, groups: ['work', 'more'] }], env.call)
      assert.ok((added?.changes.length ?? 0) > 0, 'one group more is a change')
      assert.deepEqual(added?.conflicts, [])
    },
  },
  {
    id: 'd20',
    title: 'another number of partitions is a conflict',
    tier: 'driver',
    needs: all(
      able('topology', ({ adapter }) => adapter.topology !== undefined),
      assignedLanes,
    ),
    async run(env) {
      const { adapter, channel } = await driver(env, { keyed: true, partitions: 4 })
      const plan = await adapter.topology?.plan([{ ...channel, partitions: 5 }], env.call)
      assert.ok((plan?.conflicts.length ?? 0) > 0)
    },
  },
  {
    id: 'd17',
    title: 'a lane has one owner; one that moves loses what was unsettled',
    tier: 'driver',
    needs: assignedLanes,
    async run(env) {
      const { adapter, channel, send, subscribe } = await driver(env, { keyed: true, partitions: 4 })
      for (let n = 0; n < 20; n++) await send(wire({ key: `k${n}` }))
      const first = await subscribe('work')
      const held = await first.take(20)
      assert.equal(held.length, 20)
      const other = await driver(env, { channel })
      assert.notEqual(other.adapter, adapter)
      const second = await other.subscribe('work')
      const again = await second.take(1)
      const settledLate = await first.settle(...held.map(({ token }) => ({ token, kind: 'ack' }) as const))
      const moved = held.filter((_, index) => settledLate[index]?.ok === false)
      assert.ok(moved.length > 0 && moved.length < 20, `some lanes moved: ${moved.length} messages`)
      await env.waitFor(
        () => moved.every(({ token }) => first.lost.includes(token)),
        'onLost for all of the moved lanes',
      )
      assert.equal(first.lost.length, moved.length, 'and for no other')
      const rest = await second.take(moved.length - again.length)
      assert.deepEqual(sortedIds([...again, ...rest]), sortedIds(moved))
    },
  },
  {
    id: 'd18',
    title: 'behind a refused entry nothing of its key is written by the same send',
    tier: 'driver',
    needs: all(
      faults('refuse'),
      able('ordered batch', ({ keyed }) => keyed.ordering && keyed.orderedBatch),
    ),
    async run(env) {
      const { adapter, subscribe, to } = await driver(env, { keyed: true })
      const messages = ['a', 'b', 'a', 'b', 'a'].map((key) => wire({ key }))
      const undo = await env.faults.refuse?.(({ message }) =>
        message.id === messages[2]?.id ? new PolybusError('BROKER_BUSY') : undefined,
      )
      const results = await adapter.send(
        messages.map((message) => outgoing(message, to('channel'))),
        env.call,
      )
      await undo?.()
      assert.deepEqual(
        results.map(({ ok }) => ok),
        [true, true, false, true, false],
      )
      const member = await subscribe('work')
      assert.deepEqual(
        sortedIds([...(await member.take(3)), ...(await member.take(2, 300))]),
        sorted([0, 1, 3].map((index) => messages[index]?.id)),
      )
    },
  },
  {
    id: 'd19',
    title: 'a move whose copy is refused does not finish its source',
    tier: 'driver',
    needs: all(blocking, browsing),
    async run(env) {
      const { adapter, channel, send, subscribe, to } = await driver(env)
      const message = wire()
      await send(message)
      const member = await subscribe('work')
      const [delivery] = await member.take(1)
      assert.ok(delivery)
      const undo = await block(env, 'dead-letter', channel.name)
      const move = { token: delivery.token, kind: 'move', to: to('dead-letter', 'work'), headers: [] } as const
      const [failed] = await member.settle(move)
      assert.ok(failed && !failed.ok, 'the move fails')
      await undo()
      await member.feed.close()
      const second = await subscribe('work')
      const [again] = await second.take(1)
      assert.equal(again?.message.id, message.id, 'the source is still there')
      const [done] = await second.settle({ ...move, token: again?.token })
      assert.ok(done?.ok)
      const session = await adapter.browse?.open(channel, 'work', env.call)
      assert.equal((await session?.next(10, env.call))?.length, 1)
      await session?.close()
    },
  },
]

const ordered = (record: object): object =>
  Object.fromEntries(Object.entries(record).toSorted(([a], [c]) => (a < c ? -1 : 1)))
