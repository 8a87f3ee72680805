import assert from 'node:assert/strict'
import { type Feed, sleep } from '@polybus/core'
import { able, all, type Case, faults, leaveOut, ordering } from '../case.ts'
import type { Env, ItemChannel } from '../env.ts'
import { sorted } from './driver-tools.ts'
import { gate, rejection } from '../wait.ts'

const executions = (env: Env, flow: ItemChannel, group: string): Map<string, number> => {
  const counts = new Map<string, number>()
  for (const { id } of env.runs(flow, group)) counts.set(id, (counts.get(id) ?? 0) + 1)
  return counts
}
const repeated = (env: Env, flow: ItemChannel, group: string): readonly string[] =>
  [...executions(env, flow, group)].filter(([, count]) => count > 1).map(([id]) => id)

export const cases: readonly Case[] = [
  {
    id: '2a',
    title: 'two groups each get every message, once',
    tier: 'plain',
    async run(env) {
      const flow = env.channel({ groups: ['email', 'charge'] })
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'email'), env.consumer(flow, 'charge'))
      await env.publishAll(bus, flow, env.items(env.size(200, 2000)))
      for (const group of ['email', 'charge']) {
        await env.handled(flow, group)
        assert.deepEqual(repeated(env, flow, group), [])
      }
    },
  },
  {
    id: '2b',
    title: 'two consumers of one group share its messages, each once',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const publisher = await env.bus()
      const both = gate()
      const seen = new Set<string>()
      for (const label of ['a', 'b']) {
        const bus = await env.bus()
        await bus.start(
          env.consumer(flow, 'work', {
            label,
            concurrency: 4,
            // A fast one alone could have all before the other looks: who comes first waits, with its hands full.
            async handler() {
              seen.add(label)
              if (seen.size === 2) both.open()
              await Promise.race([both.passed, sleep(env.clock, env.timing.leaseMs / 2, env.signal)])
            },
          }),
        )
      }
      await env.publishAll(publisher, flow, env.items(env.size(400, 4000)))
      await env.handled(flow, 'work')
      assert.deepEqual(repeated(env, flow, 'work'), [])
      for (const label of ['a', 'b'])
        assert.ok(
          env.runs(flow, 'work').some(({ consumer }) => consumer === label),
          `${label} got its share`,
        )
    },
  },
  {
    id: '2c',
    title: 'a third consumer joins and leaves under load: none lost, none twice unless it was in flight',
    tier: 'plain',
    run: (env) => joinAndLeave(env, env.channel()),
  },
  {
    id: '2d',
    title: 'the same with keys',
    tier: 'plain',
    needs: ordering,
    run: (env) => joinAndLeave(env, env.channel({ keyed: true }), 40),
  },
  {
    id: '2e',
    title: 'lanes are within one of evenly shared, and again after one member is killed',
    tier: 'fault',
    needs: all(ordering, faults('crash')),
    async run(env) {
      const flow = env.channel({ keyed: true, partitions: 8 })
      const members = await Promise.all(
        ['a', 'b', 'c'].map(async (label) => {
          const feeds: Feed[] = []
          const adapter = env.open({ subscribed: (_, feed) => void feeds.push(feed) })
          const bus = await env.bus({ adapter })
          await bus.start(env.consumer(flow, 'work', { label }))
          return { adapter, lanes: () => feeds.at(-1)?.state().lanes ?? null }
        }),
      )
      if (members[0]?.lanes() === null) leaveOut('its feeds tell no lanes')
      const shared = (some: typeof members): boolean => {
        const lanes = some.map((member) => member.lanes() ?? [])
        const counts = lanes.map((list) => list.length)
        return (
          new Set(lanes.flat()).size === 8 &&
          lanes.flat().length === 8 &&
          Math.max(...counts) - Math.min(...counts) <= 1
        )
      }
      const show = (): string => JSON.stringify(members.map((member) => member.lanes()))
      await env.waitFor(
        () => shared(members),
        () => `8 lanes shared by three: ${show()}`,
      )
      const publisher = await env.bus()
      await env.publishAll(publisher, flow, env.items(100, 20))
      const [dead, ...alive] = members
      if (dead) await env.faults.crash?.(dead.adapter)
      await env.publishAll(publisher, flow, env.items(100, 20))
      await env.waitFor(
        () => shared(alive),
        () => `8 lanes shared by the two that live: ${show()}`,
        env.timing.patienceMs + env.timing.leaseMs,
      )
      await env.handled(flow, 'work')
    },
  },
  {
    id: '3a',
    title: 'a declared group that has never run gets what was published before it first ran',
    tier: 'plain',
    async run(env) {
      const flow = env.channel({ groups: ['work', 'later'] })
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work'))
      await env.publishAll(bus, flow, env.items(50))
      await env.handled(flow, 'work')
      assert.equal(env.runs(flow, 'later').length, 0)
      await bus.start(env.consumer(flow, 'later'))
      await env.handled(flow, 'later')
      assert.equal(env.runs(flow, 'later').length, 50)
    },
  },
  {
    id: '3b',
    title: "a group that comes later gets what `from: 'beginning'` says, or UNSUPPORTED",
    tier: 'plain',
    needs: able('undeclared groups', ({ plain }) => plain.groups === 'any'),
    async run(env) {
      const flow = env.channel({ groups: [] })
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'first'))
      await env.publishAll(bus, flow, env.items(20))
      const late = env.consumer(flow, 'late', { from: 'beginning' })
      if (!env.plain.from.includes('beginning')) {
        env.ledger.excuse(flow.name, 'late', { loss: true })
        await rejection(bus.start(late), 'UNSUPPORTED')
        return
      }
      await bus.start(late)
      await env.handled(flow, 'late')
      assert.equal(env.runs(flow, 'late').length, 20)
    },
  },
  {
    id: '3c',
    title: "a group that comes later gets what `from: 'end'` says, or UNSUPPORTED",
    tier: 'plain',
    needs: able('undeclared groups', ({ plain }) => plain.groups === 'any'),
    async run(env) {
      const flow = env.channel({ groups: [] })
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'first'))
      await env.publishAll(bus, flow, env.items(20))
      const late = env.consumer(flow, 'late', { from: 'end' })
      if (!env.plain.from.includes('end')) {
        await rejection(bus.start(late), 'UNSUPPORTED')
        return
      }
      await bus.start(late)
      const after = env.items(5)
      await env.publishAll(bus, flow, after)
      await env.waitFor(() => env.ledger.handled(flow.name, 'late').length >= 5, 'what was published after the start')
      await env.handled(flow, 'first')
      assert.deepEqual(sorted(env.ledger.handled(flow.name, 'late')), sorted(after.map(({ id }) => id)))
    },
  },
  {
    id: '3d',
    title: 'an unset `from` is the beginning where the broker keeps history',
    tier: 'plain',
    needs: able(
      "undeclared groups from: 'beginning'",
      ({ plain }) => plain.groups === 'any' && plain.from.includes('beginning'),
    ),
    async run(env) {
      const flow = env.channel({ groups: [] })
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'first'))
      await env.publishAll(bus, flow, env.items(20))
      await bus.start(env.consumer(flow, 'late'))
      await env.handled(flow, 'late')
    },
  },
]

async function joinAndLeave(env: Env, flow: ItemChannel, keys = 0): Promise<void> {
  const publisher = await env.bus()
  for (const label of ['a', 'b']) await (await env.bus()).start(env.consumer(flow, 'work', { label, concurrency: 4 }))
  const total = env.size(600, 6000)
  const items = env.items(total, keys)
  const half = gate()
  const publishing = (async () => {
    await env.publishAll(publisher, flow, items.slice(0, total / 3))
    half.open()
    await env.publishAll(publisher, flow, items.slice(total / 3))
  })()
  await half.passed
  const third = await env.bus()
  await third.start(env.consumer(flow, 'work', { label: 'c', concurrency: 4 }))
  await env.waitFor(
    () =>
      env.runs(flow, 'work').some(({ consumer }) => consumer === 'c') ||
      env.ledger.handled(flow.name, 'work').length === total,
    'the third to take part',
  )
  await third.close()
  await publishing
  await env.handled(flow, 'work')
  // What was in flight when lanes moved may run again, at most what the members held.
  assert.ok(repeated(env, flow, 'work').length <= 3 * 64, `${repeated(env, flow, 'work').length} ran twice`)
}
