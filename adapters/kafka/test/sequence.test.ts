// Sequence numbers: why kafkajs's own idempotent producer is not used.
import { describeBroker } from '@polybus/brokers'
import kafkajs, { type Producer } from 'kafkajs'
import { expect, onTestFinished, test, vi } from 'vitest'
import { socketOf } from '../src/kafkajs/cluster.ts'
import { behind, call, client, clock, record, topic, valuesOf } from './client-support.ts'

vi.setConfig({ testTimeout: 60_000 })

/** Stands in every record, so that the proxy knows the request that writes it. */
const MARK = 'record-of-the-test'
const isSend = (bytes: Buffer): boolean => bytes.includes(MARK)

await describeBroker('kafka', (broker) => {
  const plain = async (to: { readonly host: string; readonly port: number }): Promise<Producer> => {
    const { host, port } = broker()
    const kafka = new kafkajs.Kafka({
      brokers: [`${host}:${port}`],
      logLevel: kafkajs.logLevel.NOTHING,
      socketFactory: (args) => socketOf({ ...args, ...to }),
      retry: { initialRetryTime: 50 },
    })
    const producer = kafka.producer({ idempotent: true, createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
    onTestFinished(() => producer.disconnect())
    await producer.connect()
    return producer
  }

  const through = async (is?: typeof isSend, partitions = 1) => {
    const { proxy, to } = await behind(broker(), is)
    const own = client(broker())
    const producer = client(broker(), { client: { to } }).producer()
    return { proxy, own, producer, name: await topic(own, partitions) }
  }

  test('kafka: plain kafkajs confirms a message that was never written, when an answer is lost and sends overlap', async () => {
    const own = client(broker())
    const { proxy, to } = await behind(broker(), isSend)
    const producer = await plain(to)
    const name = await topic(own)
    await producer.send({ topic: name, messages: [{ value: 'first' }] })
    proxy.cutAnswers(1)
    const sent = [`a ${MARK}`, `b ${MARK}`]
    await Promise.all(sent.map((value) => producer.send({ topic: name, messages: [{ value }] })))
    expect(proxy.answersCut).toBe(1)
    const values = await valuesOf(own, name)
    expect(sent.filter((value) => !values.includes(value))).toHaveLength(1)
  })

  test('kafka: ours writes each confirmed message, and once, under the same fault', async () => {
    const { proxy, own, producer, name } = await through(isSend, 2)
    const sent = Array.from({ length: 40 }, (_, n) => `${n} ${MARK}`)
    for (const answers of [1, 2, 3]) {
      proxy.cutAnswers(answers)
      const results = await Promise.all(
        sent.map((text, n) =>
          producer.produce([{ topic: name, partition: n % 2, records: [record(`${answers}:${text}`)] }], call),
        ),
      )
      expect(results.flat().filter(({ ok }) => !ok)).toEqual([])
    }
    expect(proxy.answersCut).toBe(6)
    const values = await valuesOf(own, name)
    expect(values.toSorted()).toEqual(
      [1, 2, 3].flatMap((answers) => sent.map((text) => `${answers}:${text}`)).toSorted(),
    )
  })

  test('kafka: what follows a send that did not settle is really written', async () => {
    const { proxy, own, producer, name } = await through()
    const write = async (text: string, signal: AbortSignal): Promise<unknown> => {
      const [result] = await producer.produce([{ topic: name, partition: 0, records: [record(text)] }], { signal })
      return result?.ok ? 'written' : result?.error.sent
    }
    expect(await write('before', call.signal)).toBe('written')
    for (const round of [1, 2, 3]) {
      proxy.pause()
      expect(await write(`left ${round}`, AbortSignal.timeout(150))).toBe('unknown')
      proxy.resume()
      expect(await write(`right ${round}`, call.signal)).toBe('written')
      expect(await write(`after ${round}`, call.signal)).toBe('written')
    }
    const values = await valuesOf(own, name)
    const sure = values.filter((value) => !value.startsWith('left'))
    expect(sure).toEqual(['before', 'right 1', 'after 1', 'right 2', 'after 2', 'right 3', 'after 3'])
    expect(new Set(values).size).toBe(values.length)
  })

  test('kafka: what was only waiting when its call ended is certainly not written', async () => {
    const { proxy, own, producer, name } = await through()
    const one = { topic: name, partition: 0 }
    await producer.produce([{ ...one, records: [record('before')] }], call)
    proxy.pause()
    const signal = AbortSignal.timeout(200)
    const results = await Promise.all(
      ['under way', 'waiting'].map((text) => producer.produce([{ ...one, records: [record(text)] }], { signal })),
    )
    expect(results.flat().map((result) => (result.ok ? 'written' : result.error.sent))).toEqual(['unknown', 'no'])
    proxy.resume()
    await producer.produce([{ ...one, records: [record('after')] }], call)
    expect(await valuesOf(own, name)).not.toContain('waiting')
  })

  test('kafka: where nobody can be reached all that waits is refused at once, as certainly not written', async () => {
    const { proxy, own, producer, name } = await through()
    const one = { topic: name, partition: 0 }
    await producer.produce([{ ...one, records: [record('before')] }], call)
    proxy.down()
    const write = async (text: string): Promise<unknown> => {
      const [result] = await producer.produce([{ ...one, records: [record(text)] }], call)
      return result?.ok ? 'written' : result?.error.sent
    }
    const begun = clock.now()
    // The first may have left before it was noticed: then it is tried for longer.
    const first = write('first')
    expect(await Promise.all(Array.from({ length: 10 }, (_, n) => write(`${n}`)))).toEqual(Array(10).fill('no'))
    expect(clock.now() - begun).toBeLessThan(2000)
    expect(['unknown', 'no']).toContain(await first)
    await proxy.up()
    await producer.produce([{ ...one, records: [record('after')] }], call)
    expect(await valuesOf(own, name)).toEqual(['before', 'after'])
  })
})
