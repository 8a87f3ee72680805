import assert from 'node:assert/strict'
import type { Stats } from '@polybus/core'
import { able, type Case, holds } from '../case.ts'
import type { Env, ItemChannel } from '../env.ts'
import { gate } from '../wait.ts'

const knows = (field: keyof Stats): ReturnType<typeof able> =>
  able(`stats.${field}`, ({ adapter, plain }) => adapter.stats !== undefined && plain.stats[field] !== null)

const read = async (env: Env, flow: ItemChannel): Promise<Stats> => (await env.bus()).stats(flow, 'work')

export const cases: readonly Case[] = [
  {
    id: '16a',
    title: 'the backlog after 1,000 unread messages is 1,000, and 0 when they are handled',
    tier: 'plain',
    needs: knows('backlog'),
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      await env.publishAll(bus, flow, env.items(1000))
      let last: number | null = null
      const backlog = async (): Promise<number | null> => (last = (await bus.stats(flow, 'work')).backlog)
      await env.waitFor(
        async () => (await backlog()) === 1000,
        () => `a backlog of 1,000, got ${last}`,
      )
      await bus.start(env.consumer(flow, 'work'))
      await env.handled(flow, 'work')
      await env.waitFor(
        async () => (await backlog()) === 0,
        () => `a backlog of 0, got ${last}`,
      )
    },
  },
  {
    id: '16b',
    title: 'in flight is what handlers hold',
    tier: 'plain',
    needs: (facts) => knows('inFlight')(facts) ?? holds(facts),
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const open = gate()
      await bus.start(env.consumer(flow, 'work', { concurrency: 2, timeout: '1m', handler: () => open.passed }))
      assert.equal((await bus.stats(flow, 'work')).inFlight, 0)
      await env.publishAll(bus, flow, env.items(2))
      await env.waitFor(async () => (await bus.stats(flow, 'work')).inFlight === 2, 'two in flight')
      open.open()
      await env.handled(flow, 'work')
      await env.waitFor(async () => (await bus.stats(flow, 'work')).inFlight === 0, 'none in flight')
    },
  },
  {
    id: '16c',
    title: 'the oldest age grows while nothing is read',
    tier: 'plain',
    needs: knows('oldestAgeMs'),
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      await env.publish(bus, flow, env.item())
      const first = (await bus.stats(flow, 'work')).oldestAgeMs ?? -1
      assert.ok(first >= 0 && first < 60_000)
      await env.waitFor(
        async () => ((await bus.stats(flow, 'work')).oldestAgeMs ?? 0) >= first + 100,
        'the age to grow',
        5000,
      )
      await bus.start(env.consumer(flow, 'work'))
      await env.handled(flow, 'work')
    },
  },
  {
    id: '16d',
    title: 'dead letters are counted',
    tier: 'plain',
    needs: knows('deadLetters'),
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      assert.equal((await bus.stats(flow, 'work')).deadLetters, 0)
      await bus.start(env.consumer(flow, 'work', { retry: false, handler: () => Promise.reject(new Error('no')) }))
      await env.publishAll(bus, flow, env.items(7))
      await env.waitFor(async () => (await bus.stats(flow, 'work')).deadLetters === 7, 'seven dead letters')
    },
  },
  {
    id: '16e',
    title: 'what cannot be known is null, never a wrong 0',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      await env.publishAll(bus, flow, env.items(3))
      const stats = await read(env, flow)
      for (const field of ['backlog', 'inFlight', 'oldestAgeMs', 'deadLetters'] as const)
        assert.equal(
          stats[field] !== null,
          env.plain.stats[field] !== null && env.adapter.stats !== undefined,
          `${field} is ${stats[field]}`,
        )
    },
  },
]
