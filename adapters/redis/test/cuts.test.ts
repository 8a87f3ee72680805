// The connection is cut behind each kind of command, after the server has it: nothing is lost, and nothing is left behind.
import { describeBroker } from '@polybus/brokers'
import { channel, consumer, createBus, fixed, NonRetryable, sleep, type Stats, trust } from '@polybus/core'
import { faultProxy } from '@polybus/testkit'
import { expect, onTestFinished, test, vi } from 'vitest'
import { shaOf } from '../src/scripts/index.ts'
import { bench, call, clock, spec, subscribe, until } from './support.ts'

vi.setConfig({ testTimeout: 60_000 })

const BOTH = ['declare', 'move', 'release', 'forget', 'stats'] as const
const STAGES: readonly [stage: string, marker: string, keyed: boolean][] = [
  ...[false, true].flatMap((keyed) => [
    ...BOTH.map((name): [string, string, boolean] => [name, shaOf(name), keyed]),
    ...['SCRIPT', 'XADD', 'XACK'].map((name): [string, string, boolean] => [name, name, keyed]),
  ]),
  ['idle', shaOf('idle'), false],
  ['gather', shaOf('gather'), false],
  ['extend', shaOf('extend'), false],
  ['XREADGROUP', 'XREADGROUP', false],
  ['share', shaOf('share'), true],
  ['gatherLanes', shaOf('gatherLanes'), true],
  ['leave', shaOf('leave'), true],
]

await describeBroker(
  'redis',
  (broker) => {
    test.each(
      STAGES.map(
        ([stage, marker, keyed]) => [`${stage}${keyed ? ' of a keyed channel' : ''}`, stage, marker, keyed] as const,
      ),
    )('redis: a connection cut behind %s loses nothing', async (_, stage, marker, keyed) => {
      const { open, connect, namespace } = bench(broker())
      const proxy = await faultProxy(broker(), {
        isSend: (bytes) => bytes.includes(`\r\n${marker}\r\n`) || bytes.includes(`\r\n${marker.toLowerCase()}\r\n`),
      })
      onTestFinished(() => proxy.close())
      const orders = channel('orders', {
        schema: trust<{ n: number }>(),
        groups: ['work'],
        partitions: 2,
        key: keyed ? ({ n }) => `k${n % 7}` : undefined,
      })
      const done = new Set<number>()
      const hanging = new Set<number>()
      const adapter = open({ url: `redis://127.0.0.1:${proxy.port}`, leaseMs: 1500, laneLeaseMs: 1500 })
      proxy.cutAnswers(2)
      const bus = await createBus(adapter, { namespace, logger: false, grace: '100ms' })
      onTestFinished(() => bus.close().catch(() => undefined))
      const work = consumer(orders, 'work', {
        retry: { attempts: 3, backoff: fixed('30ms') },
        async handler({ n }, { attempt, signal }) {
          if (n % 10 === 1) throw new NonRetryable('hopeless')
          if (n % 10 === 2 && attempt === 1) throw new Error('the first time')
          if (n >= 100) {
            hanging.add(n)
            await sleep(clock, 30_000, signal)
          }
          // Long enough for an extension.
          await sleep(clock, n === 0 && stage === 'extend' ? 1200 : 5, signal)
          done.add(n)
        },
      })
      await bus.start(work)
      await Promise.all(Array.from({ length: 30 }, (_, n) => bus.publish(orders, { n })))
      if (stage === 'stats') await bus.stats(orders, 'work').catch(() => undefined)
      await until(
        () => done.size === 27,
        () => `all to be done; missing: ${missing(done)}`,
        20_000,
      )
      const beside = await connect({ leaseMs: 1500, laneLeaseMs: 1500 })
      const channelSpec = spec('orders', { keyed, partitions: keyed ? 2 : undefined })
      const numbers = (): Promise<unknown> => beside.stats?.read(channelSpec, 'work', call) ?? Promise.resolve()
      await until(
        async () => isIdle(await numbers()),
        async () => JSON.stringify(await numbers()),
        10_000,
      )

      // What hangs is given back at the end, or comes back when its lease is over.
      await Promise.all(Array.from({ length: 5 }, (_, n) => bus.publish(orders, { n: 100 + 10 * n })))
      await until(() => hanging.size === 5, 'five to hang')
      await bus.close()
      expect(proxy.answersCut, 'answers that were cut').toBeGreaterThan(0)
      const heir = await subscribe(beside, channelSpec)
      // Also what was published twice, because an answer was lost, and then waited for its retry.
      const rest = new Set<string>()
      await until(
        async () => {
          const some = await heir.take(5, 200)
          for (const { message } of some) rest.add(String(message.body))
          await heir.ack(...some)
          return [100, 110, 120, 130, 140].every((n) => rest.has(`{"n":${n}}`)) && isIdle(await numbers())
        },
        async () => `the five to come back; came: ${[...rest].join(' ')}; ${JSON.stringify(await numbers())}`,
      )
    })
  },
  { instance: 'redis-cuts' },
)

const missing = (done: ReadonlySet<number>): string =>
  Array.from({ length: 30 }, (_, n) => n)
    .filter((n) => n % 10 !== 1 && !done.has(n))
    .join()

const isIdle = (numbers: unknown): boolean => {
  const { backlog, inFlight, deadLetters } = numbers as Stats
  return backlog === 0 && inFlight === 0 && (deadLetters ?? 0) >= 3
}
