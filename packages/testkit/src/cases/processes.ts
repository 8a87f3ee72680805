// Members in processes of their own, which are really killed.
import assert from 'node:assert/strict'
import { fixed } from '@polybus/core'
import { able, all, browsing, type Case, leaveOut, ordering, processes } from '../case.ts'
import { type Child, type ChildRole, startChild } from '../child-protocol.ts'
import { steadily } from './outage.ts'

const LANES = 8

/** Each lane has one owner, and the shares are within one of each other. */
function evenlyShared(members: readonly Child[]): boolean {
  const lanes = members.map((member) => member.lanes ?? [])
  const counts = lanes.map((list) => list.length)
  const all = lanes.flat()
  return all.length === LANES && new Set(all).size === LANES && Math.max(...counts) - Math.min(...counts) <= 1
}

const show = (members: readonly Child[]): string => JSON.stringify(members.map(({ lanes }) => lanes))

export const cases: readonly Case[] = [
  {
    id: '2f',
    title:
      'four processes share the lanes of a keyed channel within one of evenly; two are killed under load, and the others have all within 10 s, in order',
    tier: 'fault',
    settles: true,
    limitMs: { quick: 120_000, medium: 180_000, full: 600_000 },
    needs: all(ordering, processes),
    async run(env) {
      const flow = env.channel({ keyed: true, partitions: LANES })
      const publisher = await env.bus()
      const join = (label: string): Promise<Child> =>
        startChild(env, flow, label, { role: 'consume', concurrency: 4, stuckAfter: Number.MAX_SAFE_INTEGER })
      let members = await Promise.all(['p1', 'p2', 'p3', 'p4'].map(join))
      await env.waitFor(() => members.every(({ lanes }) => lanes !== undefined), 'all to tell their lanes')
      if (members[0]?.lanes === null) leaveOut('its feeds tell no lanes')
      const shared = (): Promise<void> =>
        env.waitFor(
          () => evenlyShared(members),
          () => `${LANES} lanes shared evenly by ${members.length}: ${show(members)}`,
        )
      await shared()
      const load = steadily(env, (item) => env.publish(publisher, flow, item), 40)
      for (let round = 1; round <= env.size(1, 10, 3); round++) {
        const seen = env.runs(flow, 'work').length
        await env.waitFor(() => env.runs(flow, 'work').length > seen + 100, 'messages to flow')
        const [one, two, ...rest] = members
        members = rest
        const killedAt = env.clock.now()
        await Promise.all([one?.kill('SIGKILL'), two?.kill('SIGKILL')])
        await env.waitFor(
          () => evenlyShared(members),
          () => `${LANES} lanes with the two that live: ${show(members)}`,
          Math.max(env.limit(10_000), env.timing.patienceMs),
        )
        const took = Math.round(env.clock.now() - killedAt)
        assert.ok(took < env.limit(10_000), `the two that live had all lanes after ${took} ms`)
        members = [...members, ...(await Promise.all([`r${round}a`, `r${round}b`].map(join)))]
        await shared()
      }
      assert.equal(await load.stop(), 0)
      await env.handled(flow, 'work', env.timing.patienceMs + env.timing.leaseMs)
      for (const member of members) await member.kill('SIGTERM')
    },
  },
  {
    id: '13f',
    title: 'SIGTERM in a real process: it closes and ends by itself, and the rest is delivered elsewhere',
    tier: 'fault',
    needs: processes,
    async run(env) {
      const flow = env.channel()
      const publisher = await env.bus()
      const child = await startChild(env, flow, 'child', { role: 'consume', concurrency: 2, stuckAfter: 20 })
      await env.publishAll(publisher, flow, env.items(100))
      await env.waitFor(() => child.started > 20, 'the child to be in the middle')
      const start = env.clock.now()
      assert.equal(await child.kill('SIGTERM'), '0')
      const took = Math.round(env.clock.now() - start)
      assert.ok(
        took < env.limit(1000 + 1000 + 1000),
        `within its grace and a second, and the exit of a process; it took ${took} ms`,
      )
      const other = await env.bus()
      await other.start(env.consumer(flow, 'work', { label: 'other' }))
      await env.handled(flow, 'work', env.timing.patienceMs + env.timing.leaseMs)
    },
  },
  {
    id: '20c',
    title: 'consumers killed with SIGKILL in the middle of handlers, again and again: nothing lost',
    tier: 'fault',
    limitMs: { medium: 240_000, full: 600_000 },
    needs: processes,
    async run(env) {
      const flow = env.channel({ keyed: env.keyed.ordering })
      const publisher = await env.bus()
      const kills = env.size(5, 50)
      // So many that the broker's count of hand-overs takes none of them for what kills its process.
      const attempts = 2 * kills
      const victim: ChildRole = { role: 'consume', concurrency: 4, stuckAfter: 8, attempts }
      await env.publishAll(publisher, flow, env.items(kills * 20, 20))
      for (let kill = 0; kill < kills; kill++) {
        const child = await startChild(env, flow, `child-${kill}`, victim)
        await env.waitFor(
          () => child.started > 8 || env.ledger.open(flow.name, 'work').length === 0,
          `victim ${kill} to be in the middle`,
          env.timing.patienceMs + 2 * env.timing.leaseMs,
        )
        assert.equal(await child.kill('SIGKILL'), 'SIGKILL')
      }
      const bus = await env.bus()
      await bus.start(
        env.consumer(flow, 'work', { label: 'last', retry: { attempts, backoff: fixed('10ms') }, timeout: '5s' }),
      )
      await env.handled(flow, 'work', env.timing.patienceMs + 2 * env.timing.leaseMs)
    },
  },
  {
    id: '20d',
    title:
      'a message that kills its process each time ends in the dead letters, and takes none of its neighbours along',
    tier: 'fault',
    limitMs: { quick: 120_000, medium: 180_000, full: 180_000 },
    needs: all(
      processes,
      browsing,
      able('crash guard', ({ plain }) => plain.crashGuard !== null),
    ),
    async run(env) {
      if (env.mode === 'quick' && env.plain.lease.ms !== null)
        leaveOut('a dozen leases have to run out, which a quick run has no time for')
      const flow = env.channel()
      const publisher = await env.bus()
      const items = env.items(60)
      const killer = items[30]?.id ?? ''
      await env.publishAll(publisher, flow, items)
      const attempts = 1
      const letters = async (): Promise<readonly string[]> => {
        const list: string[] = []
        for await (const { id, reason } of publisher.deadLetters(flow, 'work').list()) list.push(`${id} ${reason}`)
        return list
      }
      const ended = async (): Promise<boolean> => (await letters()).includes(`${killer} delivery-limit`)
      // One more for each hand-over that went to a process which another message had in hand.
      const most = 3 * (attempts + (env.plain.crashGuard ?? 0))
      let killed = 0
      while (!(await ended()) && killed < most) {
        const child = await startChild(env, flow, `child-${killed}`, {
          role: 'consume',
          concurrency: 4,
          stuckAfter: Number.MAX_SAFE_INTEGER,
          attempts,
          killer,
        })
        await env.waitFor(
          async () => child.over !== undefined || (await ended()),
          `child ${killed} to be killed, or the killer to be stopped`,
          env.timing.patienceMs + 2 * env.timing.leaseMs,
        )
        if (child.over === undefined) await child.kill('SIGTERM')
        else killed++
      }
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work', { label: 'last', retry: { attempts } }))
      const open = async (): Promise<readonly string[]> => {
        const dead = await letters()
        return env.ledger.open(flow.name, 'work').filter((id) => !dead.some((text) => text.startsWith(id)))
      }
      let left: readonly string[] = []
      await env.waitFor(
        async () => (left = await open()).length === 0,
        () => `all to be handled or dead; open: ${left.length}`,
        env.timing.patienceMs + 2 * env.timing.leaseMs,
      )
      const dead = await letters()
      assert.ok(dead.includes(`${killer} delivery-limit`), `the killer was stopped after ${killed} kills`)
      assert.equal(dead.length, 1, `dead letters after ${killed} kills: ${dead.join(', ')}`)
    },
  },
  {
    id: '21b',
    title: 'SIGKILL of a publisher in the middle of a burst: every publish that had resolved is on the broker',
    tier: 'fault',
    needs: processes,
    async run(env) {
      const flow = env.channel()
      const child = await startChild(env, flow, 'child', { role: 'publish', count: 5000, prefix: 'burst' })
      // A process has to start first, which is not the broker's time.
      await env.waitFor(() => child.resolved > 50, 'the first publishes to resolve', 15_000)
      assert.equal(await child.kill('SIGKILL'), 'SIGKILL')
      const bus = await env.bus()
      await bus.start(env.consumer(flow, 'work'))
      await env.handled(flow, 'work')
    },
  },
]
