import assert from 'node:assert/strict'
import { fixed, NonRetryable, type Retry, RetryAfter } from '@polybus/core'
import { able, type Case } from '../case.ts'
import type { Env, ItemChannel } from '../env.ts'

/** The shortest wait that the broker itself keeps; shorter ones core holds. */
export const releasedMs = (env: Env): number => (env.plain.delay.kind === 'exact' ? 60 : 1000)

const attemptsOf = (env: Env, flow: ItemChannel, id: string): readonly number[] =>
  env.runs(flow, 'work', id).map(({ attempt }) => attempt)
const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index + 1)
const isDead = (env: Env, flow: ItemChannel, id: string): boolean =>
  !env.ledger.open(flow.name, 'work').includes(id) && !env.ledger.handled(flow.name, 'work').includes(id)

/** A message that always fails ends in the dead letters after exactly so many starts, numbered from 1. */
async function exhausts(env: Env, attempts: number, retry: Omit<Retry, 'attempts'>): Promise<void> {
  const flow = env.channel()
  const bus = await env.bus()
  await bus.start(
    env.consumer(flow, 'work', {
      retry: { attempts, ...retry },
      handler: ({ n }) => (n > 0 ? Promise.reject(new Error('always')) : undefined),
    }),
  )
  const [bad, good] = [env.item(), env.item(undefined, { n: 0 })]
  await env.publishAll(bus, flow, [bad, good])
  await env.handled(flow, 'work')
  assert.deepEqual(attemptsOf(env, flow, bad.id), upTo(attempts))
  assert.ok(isDead(env, flow, bad.id))
  assert.deepEqual(attemptsOf(env, flow, good.id), [1])
}

/** Each gap between two attempts is its delay, rounded up as the broker declares. */
function checkGaps(env: Env, flow: ItemChannel, id: string, delays: readonly number[], slackMs: number): void {
  const runs = env.runs(flow, 'work', id)
  for (const [index, delayMs] of delays.entries()) {
    const gap = (runs[index + 1]?.startedAt ?? 0) - (runs[index]?.endedAt ?? 0)
    assert.ok(gap >= delayMs - 5, `attempt ${index + 2} came after ${Math.round(gap)} ms, before its ${delayMs} ms`)
    assert.ok(
      gap <= delayMs + env.limit(slackMs),
      `attempt ${index + 2} came after ${Math.round(gap)} ms, long after its ${delayMs} ms`,
    )
  }
}

export const cases: readonly Case[] = [
  ...([1, 2, 5, 30] as const).map((attempts, index): Case => {
    return {
      id: `5a${index + 1}`,
      title: `${attempts} attempt${attempts > 1 ? 's' : ''}, held: exactly that many starts, then the dead letters`,
      tier: 'plain',
      run: (env) => exhausts(env, attempts, { backoff: fixed('5ms'), wait: 'held' }),
    }
  }),
  ...([2, 5] as const).map((attempts, index): Case => {
    return {
      id: `5b${index + 1}`,
      title: `${attempts} attempts, released: the count travels with the message`,
      tier: 'plain',
      needs: able('delay', ({ plain }) => plain.delay.kind !== 'none'),
      run: (env) => exhausts(env, attempts, { backoff: fixed(`${releasedMs(env)}ms`), wait: 'released' }),
    }
  }),
  {
    id: '5c',
    title: 'held backoff is kept: not before, soon after',
    tier: 'plain',
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const delays = [50, 150, 300]
      await bus.start(
        env.consumer(flow, 'work', {
          retry: { attempts: 4, backoff: { delayMs: (attempt) => delays[attempt - 1] ?? 0 }, wait: 'held' },
          handler: (_, { attempt }) => (attempt < 4 ? Promise.reject(new Error('again')) : undefined),
        }),
      )
      const item = env.item()
      await env.publish(bus, flow, item)
      await env.handled(flow, 'work')
      checkGaps(env, flow, item.id, delays, 1000)
    },
  },
  {
    id: '5d',
    title: 'released backoff is kept: exact, or by the ladder, as declared',
    tier: 'plain',
    needs: able('delay', ({ plain }) => plain.delay.kind !== 'none'),
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const exact = env.plain.delay.kind === 'exact'
      const delays = exact ? [100, 400] : [1000, 2500]
      await bus.start(
        env.consumer(flow, 'work', {
          retry: { attempts: 3, backoff: { delayMs: (attempt) => delays[attempt - 1] ?? 0 }, wait: 'released' },
          handler: (_, { attempt }) => (attempt < 3 ? Promise.reject(new Error('again')) : undefined),
        }),
      )
      const item = env.item()
      await env.publish(bus, flow, item)
      await env.handled(flow, 'work')
      // Rungs shrink what remains, and what is below a second is held.
      checkGaps(env, flow, item.id, delays, exact ? 1000 : 2500)
    },
  },
  {
    id: '5e',
    title: 'a short retry is not stuck behind long ones',
    tier: 'plain',
    needs: able('delay', ({ plain }) => plain.delay.kind !== 'none'),
    async run(env) {
      const flow = env.channel()
      const bus = await env.bus()
      const long = Array.from({ length: 20 }, () => env.item(undefined, { text: 'long' }))
      const short = env.item(undefined, { text: 'short' })
      const rules: Retry['rules'] = [{ on: [RangeError], attempts: 3, backoff: fixed('10s') }]
      await bus.start(
        env.consumer(flow, 'work', {
          retry: { attempts: 3, backoff: fixed(`${releasedMs(env)}ms`), wait: 'released', rules },
          handler({ text }, { attempt }) {
            if (attempt === 1) throw text === 'long' ? new RangeError('long') : new Error('short')
          },
        }),
      )
      await env.publishAll(bus, flow, long)
      await env.waitFor(
        () => long.every(({ id }) => env.runs(flow, 'work', id)[0]?.outcome === 'failure'),
        'all long ones to wait',
      )
      await env.publish(bus, flow, short)
      await env.waitFor(() => env.ledger.handled(flow.name, 'work').includes(short.id), 'the short retry')
      assert.deepEqual(env.ledger.handled(flow.name, 'work'), [short.id], 'before the long ones')
      await env.handled(flow, 'work')
    },
  },
  {
    id: '5f',
    title: 'NonRetryable goes to the dead letters at attempt 1; so does everything with retry: false',
    tier: 'plain',
    async run(env) {
      const flow = env.channel({ groups: ['work', 'never'] })
      const bus = await env.bus()
      await bus.start(
        env.consumer(flow, 'work', {
          retry: { attempts: 5, backoff: fixed('1ms') },
          handler: () => Promise.reject(new NonRetryable('no use')),
        }),
        env.consumer(flow, 'never', { retry: false, handler: () => Promise.reject(new Error('once')) }),
      )
      const item = env.item()
      await env.publish(bus, flow, item)
      for (const group of ['work', 'never']) {
        await env.handled(flow, group)
        assert.equal(env.runs(flow, group).length, 1)
        if (env.plain.browse === 'none') continue
        for await (const letter of bus.deadLetters(flow, group).list()) {
          assert.equal(letter.attempts, 1)
          assert.equal(letter.reason, group === 'work' ? 'non-retryable' : 'attempts-exhausted')
        }
      }
    },
  },
  {
    id: '5g',
    title: "one counter: the latest error's rule sets the limit, RetryAfter the delay and never the limit",
    tier: 'plain',
    async run(env) {
      class Busy extends Error {}
      const flow = env.channel()
      const bus = await env.bus()
      const wait = (): RetryAfter => new RetryAfter('150ms')
      const errors: Record<string, () => Error> = {
        common: () => new Error('common'),
        busy: () => new Busy('busy'),
        after: wait,
      }
      await bus.start(
        env.consumer(flow, 'work', {
          retry: {
            attempts: 2,
            backoff: fixed('5ms'),
            wait: 'held',
            rules: [{ on: [Busy], attempts: 4, backoff: fixed('5ms') }],
          },
          handler({ text = '' }, { attempt, lastAttempt }) {
            assert.equal(lastAttempt, attempt >= 2, 'lastAttempt knows retry.attempts alone')
            // `turn`: busy three times, then a common error, whose limit is long behind.
            throw text === 'turn'
              ? attempt < 3
                ? new Busy('busy')
                : new Error('common')
              : (errors[text]?.() ?? new Error('?'))
          },
        }),
      )
      const [common, busy, after, turn] = ['common', 'busy', 'after', 'turn'].map((text) =>
        env.item(undefined, { text }),
      )
      const items = [common, busy, after, turn].filter((item) => item !== undefined)
      await env.publishAll(bus, flow, items)
      await env.handled(flow, 'work')
      assert.deepEqual(
        items.map(({ id }) => attemptsOf(env, flow, id)),
        [upTo(2), upTo(4), upTo(2), upTo(3)],
      )
      checkGaps(env, flow, after?.id ?? '', [150], 1000)
    },
  },
]
