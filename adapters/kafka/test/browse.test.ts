// Dead letters in a log: looked at by many, taken off one by one.
import { describeBroker } from '@polybus/brokers'
import { type BrowseSession, PolybusError, type RawDeadLetter, type Result } from '@polybus/core'
import kafkajs from 'kafkajs'
import { expect, test, vi } from 'vitest'
import type { KafkaAdapter } from '../src/index.ts'
import { type Bench, bench, call, clock, create, send, spec, subscribe, wire } from './support.ts'
import { makeTopics } from './plain.ts'

vi.setConfig({ testTimeout: 60_000 })

const open = async (adapter: KafkaAdapter): Promise<BrowseSession> => {
  const look = await adapter.browse?.open(spec('orders'), 'work', call)
  if (!look) throw new Error('no browse')
  return look
}
async function all(look: BrowseSession, page = 100): Promise<RawDeadLetter[]> {
  const found: RawDeadLetter[] = []
  for (;;) {
    const some = await look.next(page, call)
    if (some.length === 0) return found
    found.push(...some)
  }
}
const ids = (letters: readonly RawDeadLetter[]): (string | undefined)[] => letters.map(({ message }) => message.id)
const positions = (letters: readonly RawDeadLetter[]): string[] => letters.map(({ position }) => position)
const fine = (results: readonly Result<void>[]): number => results.filter(({ ok }) => ok).length

async function bury(adapter: KafkaAdapter, count: number, from = 0): Promise<void> {
  const messages = Array.from({ length: count }, (_, n) => wire({ id: `m-${from + n}`, key: `k-${n}` }))
  const to = { kind: 'dead-letter', channel: 'orders', group: 'work' } as const
  const results = await adapter.send(
    messages.map((message) => ({ handover: 0, message, to })),
    call,
  )
  for (const result of results) if (!result.ok) throw result.error
}
const lowOf = async ({ admin, namespace }: Bench, topic = 'dlq'): Promise<number> =>
  Number((await (await admin()).fetchTopicOffsets(`${namespace}.orders.work.${topic}`))[0]?.low)

await describeBroker(
  'kafka',
  (broker) => {
    test('kafka: letters come oldest first, page by page, and new ones behind them; looking changes nothing', async () => {
      const { connect } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      await bury(adapter, 25)
      const look = await open(adapter)
      const names = Array.from({ length: 25 }, (_, n) => `m-${n}`)
      expect(ids(await look.next(10, call))).toEqual(names.slice(0, 10))
      expect(ids(await all(look, 10))).toEqual(names.slice(10))
      await bury(adapter, 1, 25)
      expect(ids(await look.next(10, call))).toEqual(['m-25'])
      await look.close()
      expect(await all(await open(adapter))).toHaveLength(26)
    })

    test('kafka: what is taken off is gone for everybody, also after a restart; what stays stays', async () => {
      const at = bench(broker())
      const adapter = await at.connect()
      await create(adapter, spec('orders'))
      await bury(adapter, 10)
      const other = await open(adapter)
      expect(await other.next(2, call)).toHaveLength(2)
      const look = await open(adapter)
      const letters = await all(look)
      const taken = [0, 1, 4, 7].map((n) => letters[n] as RawDeadLetter)
      expect(fine(await look.remove(positions(taken), call))).toBe(4)
      const [again] = await look.remove(positions(taken.slice(0, 1)), call)
      expect(again && !again.ok && again.error.code).toBe('DEAD_LETTER_NOT_FOUND')
      expect(ids(await all(other))).toEqual(['m-2', 'm-3', 'm-5', 'm-6', 'm-8', 'm-9'])
      await look.close()
      await adapter.close()
      const fresh = await at.connect()
      expect(ids(await all(await open(fresh)))).toEqual(['m-2', 'm-3', 'm-5', 'm-6', 'm-8', 'm-9'])
      // The finished prefix is deleted, and no more.
      expect(await lowOf(at)).toBe(2)
    })

    test('kafka: what was never there cannot be taken off', async () => {
      const { connect, namespace } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      await bury(adapter, 2)
      const look = await open(adapter)
      const [first] = await all(look)
      const dead = `${namespace}.orders.work.dlq`
      const results = await look.remove(
        [`${dead}/0/99`, `${dead}/7/0`, 'elsewhere/0/0', 'x', first?.position ?? '', first?.position ?? ''],
        call,
      )
      expect(results.map(({ ok }) => ok)).toEqual([false, false, false, false, true, false])
      await look.close()
      await expect(look.next(1, call)).rejects.toThrow(/closed/)
    })

    test('kafka: of two people who take the same letters off at once each letter is one of theirs', async () => {
      const { connect } = bench(broker())
      const adapters = [await connect(), await connect()]
      const [first] = adapters
      if (!first) throw new Error('none')
      await create(first, spec('orders'))
      await bury(first, 200)
      const taken = await Promise.all(
        adapters.map(async (adapter, person) => {
          const look = await open(adapter)
          const letters = await all(look)
          if (person === 1) letters.reverse()
          const mine: string[] = []
          for (let n = 0; n < letters.length; n += 5) {
            const some = positions(letters.slice(n, n + 5))
            const results = await look.remove(some, call)
            mine.push(...some.filter((_, index) => results[index]?.ok))
          }
          await look.close()
          return mine
        }),
      )
      expect(taken.flat()).toHaveLength(200)
      expect(new Set(taken.flat()).size).toBe(200)
      for (const mine of taken) expect(mine.length).toBeGreaterThan(0)
      expect(await all(await open(first))).toEqual([])
    })

    test('kafka: thousands that were taken off one by one cost the next look little', async () => {
      const at = bench(broker())
      const adapter = await at.connect()
      await create(adapter, spec('orders'))
      await bury(adapter, 1000)
      await bury(adapter, 1000, 1000)
      const look = await open(adapter)
      const letters = await all(look, 500)
      expect(letters).toHaveLength(2000)
      // The first stays, so that no prefix can be deleted.
      for (let n = 1; n < 1300; n++) expect(fine(await look.remove([letters[n]?.position ?? ''], call))).toBe(1)
      await look.close()
      expect(await lowOf(at)).toBe(0)
      const [marks] = await (await at.admin()).fetchTopicOffsets(`${at.namespace}.orders.work.dlq.done`)
      expect(Number(marks?.high) - Number(marks?.low)).toBeLessThan(10)
      const left = await all(await open(adapter), 500)
      expect(ids(left).slice(0, 2)).toEqual(['m-0', 'm-1300'])
      expect(left).toHaveLength(701)
      expect(await adapter.stats?.read(spec('orders'), 'work', call)).toMatchObject({ deadLetters: 701 })
      const last = await open(adapter)
      const rest = await all(last, 500)
      expect(fine(await last.remove(positions(rest), call))).toBe(701)
      await last.close()
      expect(await lowOf(at)).toBe(2000)
      expect(await adapter.stats?.read(spec('orders'), 'work', call)).toMatchObject({ deadLetters: 0 })
    })

    test('kafka: a foreign topic of dead letters is read in the order of its times, and never cut', async () => {
      const at = bench(broker())
      const topic = `${at.namespace}-DLT`
      const tool = await at.admin()
      await makeTopics(tool, [{ topic, numPartitions: 3 }])
      const plain = new kafkajs.Kafka({ brokers: [new URL(at.url).host], logLevel: kafkajs.logLevel.NOTHING })
      const producer = plain.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
      await producer.connect()
      // Recent: retention goes by what the producer says.
      const begin = clock.wall() - 60_000
      for (let n = 0; n < 9; n++)
        await producer.send({
          topic,
          messages: [{ value: `v-${n}`, partition: (n * 2) % 3, timestamp: String(begin + n) }],
        })
      await producer.disconnect()
      const adapter = await at.connect({ channels: { orders: { groups: { work: { deadLetter: topic } } } } })
      await create(adapter, spec('orders'))
      const look = await open(adapter)
      const letters = await all(look, 2)
      expect(letters.map(({ message }) => String(message.body))).toEqual(Array.from({ length: 9 }, (_, n) => `v-${n}`))
      expect(letters[0]?.message.id).toBe(`${topic}/0/0`)
      expect(fine(await look.remove(positions(letters.slice(0, 8)), call))).toBe(8)
      await look.close()
      expect((await tool.fetchTopicOffsets(topic)).every(({ low }) => low === '0')).toBe(true)
      expect(await all(await open(adapter))).toHaveLength(1)
    })

    test('kafka: where the topic of marks is missing letters can be looked at, and taking off says what is missing', async () => {
      const at = bench(broker())
      const adapter = await at.connect()
      await create(adapter, spec('orders'))
      await send(adapter, spec('orders'), wire())
      const member = await subscribe(adapter, spec('orders'))
      const [delivery] = await member.take(1)
      const to = { kind: 'dead-letter', channel: 'orders', group: 'work' } as const
      await member.settle({ token: delivery?.token, kind: 'move', to, headers: [] })
      await (await at.admin()).deleteTopics({ topics: [`${at.namespace}.orders.work.dlq.done`] })
      const look = await open(adapter)
      const letters = await all(look)
      expect(letters).toHaveLength(1)
      const [result] = await look.remove(positions(letters), call)
      expect(result && !result.ok && PolybusError.is(result.error, 'TOPOLOGY_MISSING')).toBe(true)
      await look.close()
    })
  },
  { instance: 'tests' },
)
