// Queues as they are made, and what stands in their way.
import { CreateQueueCommand, GetQueueAttributesCommand } from '@aws-sdk/client-sqs'
import { describeBroker } from '@polybus/brokers'
import { PolybusError } from '@polybus/core'
import { expect, test, vi } from 'vitest'
import { type Bench, bench, call, create, outgoing, spec, subscribe, wire } from './support.ts'

// A busy machine is slow, and so is SQS.
vi.setConfig({ testTimeout: 30_000 })

const failure = async (work: Promise<unknown> | undefined): Promise<PolybusError> => {
  try {
    await work
  } catch (error) {
    if (PolybusError.is(error)) return error
    throw error
  }
  throw new Error('it did not fail')
}
const attributesOf = async ({ client, url }: Bench, queue: string): Promise<Record<string, string>> => {
  const { Attributes = {} } = await client.send(
    new GetQueueAttributesCommand({ QueueUrl: await url(queue), AttributeNames: ['All'] }),
  )
  return Attributes
}

await describeBroker(
  'sqs',
  (broker) => {
    test('sqs: a plan says which queues it makes; applied, they are kept for 14 days and have a backstop', async () => {
      const b = await bench(broker())
      const adapter = await b.connect()
      const orders = spec('orders', { groups: ['email', 'charge'] })
      const plan = await adapter.topology?.plan([orders], call)
      expect(plan?.conflicts).toEqual([])
      expect(plan?.changes.map(({ kind, name, text }) => [kind, name, text])).toEqual(
        ['charge', 'email'].map((group) => [
          'create-group',
          `orders/${group}`,
          `create the group '${group}' of the channel 'orders': the standard queues '${b.namespace}--orders--${group}' and '${b.namespace}--orders--${group}--dlq', kept for 14 days`,
        ]),
      )
      await adapter.topology?.apply(JSON.parse(JSON.stringify(plan?.changes)) as never, call)
      expect(await adapter.topology?.plan([orders], call)).toEqual({ changes: [], conflicts: [] })
      const queue = await attributesOf(b, 'orders--email')
      const dead = await attributesOf(b, 'orders--email--dlq')
      expect(JSON.parse(queue['RedrivePolicy'] ?? '{}')).toEqual({
        deadLetterTargetArn: dead['QueueArn'],
        maxReceiveCount: 1000,
      })
      expect(dead['RedrivePolicy']).toBeUndefined()
      expect(queue['FifoQueue']).not.toBe('true')
      expect(await adapter.hazards?.(orders, call)).toEqual([])
    })

    test('sqs: a keyed channel has FIFO queues, its dead letters too', async () => {
      const b = await bench(broker())
      const adapter = await b.connect()
      await create(adapter, spec('orders', { keyed: true }))
      expect((await attributesOf(b, 'orders--work.fifo'))['FifoQueue']).toBe('true')
      expect((await attributesOf(b, 'orders--work--dlq.fifo'))['FifoQueue']).toBe('true')
    })

    for (const keyed of [true, false])
      test(`sqs: a ${keyed ? 'standard' : 'FIFO'} queue in the place of a ${keyed ? 'FIFO' : 'standard'} one is a conflict that says what to do`, async () => {
        const b = await bench(broker())
        const adapter = await b.connect()
        await create(adapter, spec('orders', { keyed: !keyed }))
        const plan = await adapter.topology?.plan([spec('orders', { keyed })], call)
        expect(plan?.changes).toEqual([])
        expect(plan?.conflicts).toHaveLength(1)
        expect(plan?.conflicts[0]?.text).toMatch(
          keyed
            ? /has a key, which needs a FIFO queue.*delete it/
            : /has no key, which needs a standard queue.*delete it/,
        )
      })

    test('sqs: a queue given by its URL is used as it is; one of the wrong type, or none, is a conflict', async () => {
      const b = await bench(broker())
      await b.client.send(new CreateQueueCommand({ QueueName: `${b.namespace}--legacy` }))
      await b.client.send(new CreateQueueCommand({ QueueName: `${b.namespace}--legacy-dead` }))
      const queueUrl = await b.url('legacy')
      const deadLetterQueueUrl = await b.url('legacy-dead')
      const adapter = await b.connect({ channels: { orders: { groups: { work: { queueUrl, deadLetterQueueUrl } } } } })
      const orders = spec('orders')
      expect(await adapter.topology?.plan([orders], call)).toEqual({ changes: [], conflicts: [] })
      const [result] = await adapter.send([outgoing('orders', wire({ id: 'm' }))], call)
      expect(result?.ok).toBe(true)
      const member = await subscribe(adapter, orders)
      const [delivery] = await member.take(1)
      expect(delivery?.message.id).toBe('m')
      const keyed = await adapter.topology?.plan([spec('orders', { keyed: true })], call)
      expect(keyed?.conflicts.map(({ text }) => text).join()).toContain('a standard queue, which keeps no order')
      const gone = await b.connect({
        channels: { orders: { groups: { work: { queueUrl: `${queueUrl}-gone`, deadLetterQueueUrl } } } },
      })
      const plan = await gone.topology?.plan([orders], call)
      expect(plan?.conflicts.map(({ text }) => text).join()).toContain('it was given by its URL')
    })

    test('sqs: a redrive policy below ours and a short retention are hazards', async () => {
      const b = await bench(broker())
      const adapter = await b.connect({ maxReceiveCount: 3 })
      await create(adapter, spec('orders'))
      const other = await b.connect()
      const hazards = (await other.hazards?.(spec('orders'), call)) ?? []
      expect(hazards.map(({ kind }) => kind)).toEqual(['redrive work'])
      expect(hazards[0]?.text).toContain('after 3 receives')
      const accepting = await b.connect({ acceptedHazards: ['redrive'] })
      expect(await accepting.hazards?.(spec('orders'), call)).toEqual([])
    })

    test('sqs: names that are too long, and a group that is named like dead letters, are refused', async () => {
      const { connect } = await bench(broker())
      const adapter = await connect()
      const long = await failure(
        adapter.topology?.plan([spec('c'.repeat(32), { groups: ['g'.repeat(32)], keyed: true })], call),
      )
      expect([long.code, long.retryable]).toEqual(['INVALID_OPTION', false])
      expect(long.message).toMatch(/8\d characters, and SQS allows 80/)
      const dead = await failure(adapter.topology?.plan([spec('orders', { groups: ['dlq'] })], call))
      expect(dead.code).toBe('INVALID_OPTION')
    })

    test('sqs: where nothing may be created, what is missing is not', async () => {
      const { connect } = await bench(broker())
      const adapter = await connect({}, 'verify')
      const orders = spec('orders')
      const plan = await adapter.topology?.plan([orders], call)
      expect(plan?.changes).toHaveLength(1)
      const error = await failure(subscribe(adapter, orders))
      expect([error.code, error.retryable]).toEqual(['TOPOLOGY_MISSING', false])
      expect(error.message).toContain('Create it')
      const [result] = await adapter.send([outgoing('orders', wire())], call)
      expect(result?.ok === false && [result.error.code, result.error.retryable, result.error.sent]).toEqual([
        'TOPOLOGY_MISSING',
        false,
        'no',
      ])
    })

    test('sqs: a queue that is deleted under a poll breaks the feed within seconds, and may be made again', async () => {
      const { connect, drop } = await bench(broker())
      const adapter = await connect()
      const orders = spec('orders')
      await create(adapter, orders)
      const { feed } = await subscribe(adapter, orders)
      await drop('orders--work')
      const error = await failure(
        (async () => {
          for (;;) await feed.receive(1, call)
        })(),
      )
      expect(error.retryable).toBe(true)
      await feed.close()
      await create(adapter, orders)
      const member = await subscribe(adapter, orders)
      await adapter.send([outgoing('orders', wire({ id: 'm' }))], call)
      expect((await member.take(1))[0]?.message.id).toBe('m')
    })
  },
  { instance: 'tests' },
)
