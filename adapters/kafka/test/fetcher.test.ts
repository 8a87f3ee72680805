// How long a fetch waits for something new. What it reads, and from where, is tested on a real broker (client.test.ts).
import { systemClock } from '@polybus/core'
import { expect, onTestFinished, test } from 'vitest'
import { createFetcher, type FetcherOptions } from '../src/engine/fetcher.ts'
import type { Broker } from '../src/engine/wire.ts'
import { until } from './support.ts'

type Request = Parameters<Broker['fetch']>[0]

test('while a partition was paused just now a fetch of the others waits a moment alone: what goes on would wait behind it', async () => {
  let now = 0
  const requests: Request[] = []
  const answers: (() => void)[] = []
  const broker = {
    fetch: (request: Request) =>
      new Promise((resolve) => {
        requests.push(request)
        answers.push(() => resolve({ responses: [] }))
      }),
  }
  const fetcher = createFetcher(
    {
      link: {
        leader: () => Promise.resolve(1),
        ask: (_: unknown, work: (to: unknown) => unknown) => work(broker),
      } as unknown as FetcherOptions['link'],
      clock: { ...systemClock(), now: () => now },
      timeoutMs: 1000,
      maxWaitMs: 250,
      maxBytesPerPartition: 1000,
      onRecords() {},
      onOutOfRange() {},
      onFailed() {},
    },
    [0, 1].map((partition) => ({ topic: 't', partition, offset: 0n })),
  )
  onTestFinished(() => fetcher.stop())
  const next = async (): Promise<readonly [partitions: number, waitMs: number]> => {
    const before = requests.length
    answers.at(-1)?.()
    await until(() => requests.length > before, 'the next fetch')
    const { topics, maxWaitTime } = requests.at(-1)!
    return [topics.flatMap(({ partitions }) => [...partitions]).length, maxWaitTime]
  }
  expect(await next()).toEqual([2, 250])
  fetcher.pause([{ topic: 't', partition: 0 }])
  expect(await next()).toEqual([1, 5])
  now = 600
  expect(await next()).toEqual([1, 250])
  fetcher.resume([{ topic: 't', partition: 0 }])
  expect(await next()).toEqual([2, 250])
})
