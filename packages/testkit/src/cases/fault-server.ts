// The server itself goes, and long outages under load. Each runs alone: others would feel it.
import assert from 'node:assert/strict'
import { channel, consumer, PolybusError, sleep, trust } from '@polybus/core'
import { type Case, faults } from '../case.ts'
import type { Env, ItemChannel } from '../env.ts'
import { resumed } from './fault-broker.ts'
import { type Consuming, consuming, steadily } from './outage.ts'

const MIB = 2 ** 20

export const cases: readonly Case[] = [
  {
    id: '17d',
    title: 'publishers at a steady rate through an outage: every publish settles, and memory is bounded',
    tier: 'fault',
    alone: true,
    limitMs: { medium: 120_000, full: 180_000 },
    needs: faults('down', 'up'),
    run: (env) => throughAnOutage(env, env.size(1000, 5000, 5000), env.size(1500, 60_000, 15_000)),
  },
  {
    id: '17e',
    title:
      'the server is killed and started again in a row, under load: one consumer each time, again within 5 s, nothing confirmed is lost',
    tier: 'fault',
    alone: true,
    limitMs: { quick: 120_000, medium: 240_000, full: 600_000 },
    needs: faults('kill', 'restart'),
    async run(env) {
      const flows = [env.channel(), ...(env.keyed.ordering ? [env.channel({ keyed: true })] : [])]
      const publisher = await env.bus()
      const consumers: Consuming[] = []
      const loads: { stop(): Promise<number> }[] = []
      for (const flow of flows) {
        consumers.push(await consuming(env, flow))
        loads.push(steadily(env, (item) => env.publish(publisher, flow, item), 10))
      }
      await flowing(env, flows, 20)
      await sleep(env.clock, env.timing.ageMs, env.signal)
      for (let restart = 1; restart <= env.size(1, 10, 3); restart++) {
        const before = consumers.map(({ subscribed }) => subscribed)
        await env.faults.kill?.()
        await env.faults.restart?.()
        const back = env.clock.now()
        await env.waitFor(
          () => consumers.every(({ subscribed }, index) => subscribed > (before[index] ?? 0)),
          `new subscriptions after restart ${restart}`,
        )
        await flowing(env, flows, 5)
        const took = Math.round(env.clock.now() - back)
        assert.ok(took < env.limit(5000), `restart ${restart}: messages flowed again after ${took} ms`)
        assert.deepEqual(
          consumers.map(({ open }) => open),
          flows.map(() => 1),
          `one consumer each after restart ${restart}`,
        )
        const seen = await env.foreign?.consumers?.(flows[0]?.name ?? '', 'work')
        if (seen !== undefined) assert.equal(seen, 1, `the broker sees ${seen} consumers after restart ${restart}`)
      }
      for (const load of loads) assert.equal(await load.stop(), 0, 'every publish waited for the server')
      for (const flow of flows) await env.handled(flow, 'work', env.timing.patienceMs + env.timing.leaseMs)
    },
  },
  {
    id: '24d',
    title: 'everything on the broker is deleted under load: subscribed again within 5 s, or a clear error',
    tier: 'fault',
    alone: true,
    needs: faults('wipe'),
    async run(env) {
      const flow = env.channel()
      const keyed = env.channel({ keyed: env.keyed.ordering })
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work'), env.consumer(keyed, 'work'))
      await env.publishAll(bus, flow, env.items(50))
      await env.publishAll(bus, keyed, env.items(50, 5))
      for (const { name } of [flow, keyed]) env.ledger.excuse(name, 'work', { loss: true, order: true })
      await env.faults.wipe?.()
      await Promise.all([resumed(env, bus, flow), resumed(env, bus, keyed)])
    },
  },
]

/** Each channel's consumer gets so many more. */
async function flowing(env: Env, flows: readonly ItemChannel[], more: number): Promise<void> {
  const before = flows.map((flow) => env.runs(flow, 'work').length)
  await env.waitFor(
    () => flows.every((flow, index) => env.runs(flow, 'work').length > (before[index] ?? 0) + more),
    () => `messages to flow; so far ${flows.map((flow) => env.runs(flow, 'work').length).join(' and ')}`,
    30_000,
  )
}

/** Without the ledger, whose memory grows with every publish. */
async function throughAnOutage(env: Env, rate: number, outageMs: number): Promise<void> {
  const bufferMessages = 5000
  const flow = channel(env.name(), { schema: trust<{ n: number }>(), groups: ['work'] })
  const seen = new Set<number>()
  const reader = await env.bus()
  await reader.start(consumer(flow, 'work', ({ n }) => void seen.add(n)))
  const bus = await env.bus({ publishing: { bufferMessages, whenFull: 'reject', timeout: '2s' } })

  const resolved = new Set<number>()
  const notSent = new Set<number>()
  const wrong: string[] = []
  let [count, pending, most] = [0, 0, 0]
  const publish = (): void => {
    const n = count++
    most = Math.max(most, ++pending)
    bus
      .publish(flow, { n })
      .then(
        () => void resolved.add(n),
        (error: unknown) => {
          if (!PolybusError.is(error) || error.sent === undefined) wrong.push(String(error))
          // What has no doubt is looked at afterwards; a sample of it is enough.
          else if (error.sent === 'no' && notSent.size < 10_000) notSent.add(n)
        },
      )
      .finally(() => pending--)
  }
  const heaps: number[] = []
  const load = async (ms: number): Promise<void> => {
    const start = env.clock.now()
    let due = 0
    for (let now = start; now < start + ms && !env.signal.aborted; now = env.clock.now()) {
      for (const wanted = ((now - start) / 1000) * rate; due < wanted; due++) publish()
      const { heapUsed, external } = process.memoryUsage()
      heaps.push(heapUsed + external)
      await sleep(env.clock, 20, env.signal)
    }
  }

  await load(500)
  await env.faults.down?.()
  heaps.length = 0
  await load(outageMs)
  const outage = [...heaps]
  await env.faults.up?.()
  const before = resolved.size
  const back = env.clock.now()
  // What is published before the connection is back may be given up before: the load goes on until something resolves.
  while (resolved.size === before && env.clock.now() - back < env.limit(5000)) await load(100)
  assert.ok(resolved.size > before, `publishes resolve again within ${env.limit(5000)} ms`)
  await load(1000)
  await env.waitFor(
    () => pending === 0,
    () => `every publish to settle; ${pending} of ${count} have not`,
  )
  assert.deepEqual(wrong, [], 'each rejection says whether it was sent')
  assert.ok(most <= bufferMessages + rate, `at most ${most} unsettled, with a buffer of ${bufferMessages}`)
  // Garbage comes and goes: what is left when it has gone tells.
  const low = (part: readonly number[]): number => Math.min(...part)
  const third = Math.ceil(outage.length / 3)
  const growth = low(outage.slice(-third)) - low(outage.slice(0, third))
  assert.ok(growth < 64 * MIB, `memory grew by ${Math.round(growth / MIB)} MiB during the outage`)
  await env.waitFor(
    () => [...resolved].every((n) => seen.has(n)),
    () => `all ${resolved.size} that resolved; ${[...resolved].filter((n) => !seen.has(n)).length} are missing`,
    env.timing.patienceMs + env.timing.leaseMs,
  )
  assert.deepEqual(
    [...notSent].filter((n) => seen.has(n)),
    [],
    'what was certainly not sent never arrived',
  )
}
