// An answer of 200 may hold entries that failed.
import { describeBroker } from '@polybus/brokers'
import { DeleteMessageCommand, SendMessageCommand } from '@aws-sdk/client-sqs'
import { expect, test, vi } from 'vitest'
import { BROKEN } from './gateway.ts'
import { bench, call, create, numbered, outgoing, send, spec, subscribe, wire } from './support.ts'

const orders = spec('orders')

// A busy machine is slow, and so is SQS.
vi.setConfig({ testTimeout: 30_000 })

await describeBroker(
  'sqs',
  (broker) => {
    test('sqs: entries fail alone, each with its own error, over several batches', async () => {
      const { connect, gateway } = await bench(broker())
      const adapter = await connect()
      await create(adapter, orders)
      const bad = new Set(['m-0', 'm-9', 'm-10', 'm-24'])
      const undo = gateway.refuse((_, { MessageAttributes: { ce_id } = {} }) =>
        bad.has(ce_id?.StringValue ?? '') ? BROKEN : undefined,
      )
      const results = await adapter.send(
        numbered(25).map((message) => outgoing('orders', message)),
        call,
      )
      undo()
      expect(results.flatMap(({ ok }, index) => (ok ? [] : [`m-${index}`]))).toEqual([...bad])
      const member = await subscribe(adapter, orders)
      expect(await member.take(22, 2000)).toHaveLength(21)
    })

    test('sqs: one that is too large fails before it is sent, and takes no neighbour along', async () => {
      const { connect } = await bench(broker())
      const adapter = await connect()
      await create(adapter, orders)
      const large = wire({ id: 'large', body: Buffer.alloc(262_145, 'x') })
      const results = await adapter.send(
        [wire({ id: 'a' }), large, wire({ id: 'b' })].map((message) => outgoing('orders', message)),
        call,
      )
      expect(results.map((result) => (result.ok ? 'ok' : `${result.error.code} ${result.error.sent}`))).toEqual([
        'ok',
        'MESSAGE_TOO_LARGE no',
        'ok',
      ])
    })

    test('sqs: a batch is split by its bytes, for the sum is limited too', async () => {
      const { connect } = await bench(broker())
      const adapter = await connect()
      await create(adapter, orders)
      const messages = numbered(6, { body: Buffer.alloc(100_000, 'x') })
      const results = await adapter.send(
        messages.map((message) => outgoing('orders', message)),
        call,
      )
      expect(results.every(({ ok }) => ok)).toBe(true)
      const member = await subscribe(adapter, orders)
      expect(await member.take(6)).toHaveLength(6)
    })

    test('sqs: where a queue takes less than we were told, what is not too large by itself goes without its neighbours', async () => {
      const { connect } = await bench(broker())
      const adapter = await connect({ maxMessageBytes: 1_048_576 })
      await create(adapter, orders)
      const of = (id: string, bytes: number) => wire({ id, body: Buffer.alloc(bytes, 'x') })
      const batch = [of('a', 10), of('b', 300_000), ...Array.from({ length: 6 }, (_, n) => of(`c-${n}`, 100_000))]
      const results = await adapter.send(
        batch.map((message) => outgoing('orders', message)),
        call,
      )
      expect(results.map((result) => (result.ok ? 'ok' : [result.error.code, result.error.sent]))).toEqual([
        'ok',
        ['MESSAGE_TOO_LARGE', 'no'],
        ...Array.from({ length: 6 }, () => 'ok'),
      ])
      const [, refused] = results
      expect(refused?.ok === false && refused.error.message).toMatch(/sqs\(\)\.maxMessageBytes, set it to that/)
    })

    test('sqs: a settlement that fails for one of many tells so of this one', async () => {
      const { connect, client, url } = await bench(broker())
      const adapter = await connect({ visibilityMs: 30_000 })
      await create(adapter, orders)
      await send(adapter, 'orders', ...numbered(3))
      const member = await subscribe(adapter, orders)
      const held = await member.take(3)
      const { handle } = (held[1] as { token: { handle: string } }).token
      await client.send(new DeleteMessageCommand({ QueueUrl: await url('orders--work'), ReceiptHandle: handle }))
      const results = await member.settle(...held.map(({ token }) => ({ token, kind: 'ack' }) as const))
      expect(results.map((result) => (result.ok ? 'ok' : result.error.code))).toEqual(['ok', 'LEASE_LOST', 'ok'])
    })

    test('sqs: a move whose copy is there is only finished when it is tried again', async () => {
      const { connect, gateway } = await bench(broker())
      const adapter = await connect({ visibilityMs: 30_000 })
      await create(adapter, orders)
      await send(adapter, 'orders', wire({ id: 'm' }))
      const member = await subscribe(adapter, orders)
      const [delivery] = await member.take(1)
      const move = {
        token: delivery?.token,
        kind: 'move',
        to: { kind: 'dead-letter', channel: 'orders', group: 'work' },
        headers: [['polybus-reason', 'failed']],
      } as const
      gateway.fail('DeleteMessageBatch', 1)
      const [first] = await member.settle(move)
      expect(first?.ok === false && [first.error.code, first.error.retryable]).toEqual(['BROKER_BUSY', true])
      expect((await member.settle(move))[0]?.ok).toBe(true)
      const stats = await adapter.stats?.read(orders, 'work', call)
      expect([stats?.backlog, stats?.inFlight, stats?.deadLetters]).toEqual([0, 0, 1])
    })

    test('sqs: a message with no room for our headers becomes a dead letter as it came, instead of staying for ever', async () => {
      const { client, connect, gateway, url } = await bench(broker())
      const adapter = await connect({ visibilityMs: 30_000 })
      await create(adapter, orders)
      const body = 'x'.repeat(262_000)
      await client.send(new SendMessageCommand({ QueueUrl: await url('orders--work'), MessageBody: body }))
      const member = await subscribe(adapter, orders)
      const [delivery] = await member.take(1)
      // ElasticMQ counts no attributes, AWS does.
      const undo = gateway.refuse((_, { MessageAttributes = {} }) =>
        'polybus' in MessageAttributes
          ? { Code: 'InvalidParameterValue', Message: 'Message must be shorter than 262144 bytes.', SenderFault: true }
          : undefined,
      )
      const results = await member.settle({
        token: delivery?.token,
        kind: 'move',
        to: { kind: 'dead-letter', channel: 'orders', group: 'work' },
        headers: [['polybus-reason', 'failed']],
      })
      undo()
      expect(results.map(({ ok }) => ok)).toEqual([true])
      const look = await adapter.browse?.open(orders, 'work', call)
      const letters = await look?.next(10, call)
      expect(letters?.map(({ message }) => [String(message.body).length, message.headers])).toEqual([[262_000, []]])
      await look?.close()
    })
  },
  { instance: 'tests' },
)
