// A queue has no subscribers: publishing goes to the queue of every declared group, by hand.
import { CreateQueueCommand } from '@aws-sdk/client-sqs'
import { describeBroker } from '@polybus/brokers'
import { channel, createBus, PolybusError, trust } from '@polybus/core'
import { expect, onTestFinished, test, vi } from 'vitest'
import { BROKEN, INVALID } from './gateway.ts'
import { bench, call, create, ids, numbered, outgoing, send, spec, subscribe, until, values, wire } from './support.ts'

const failure = async (work: Promise<unknown> | undefined): Promise<PolybusError> => {
  try {
    await work
  } catch (error) {
    if (PolybusError.is(error)) return error
    throw error
  }
  throw new Error('it did not fail')
}

// A busy machine is slow, and so is SQS.
vi.setConfig({ testTimeout: 30_000 })

await describeBroker(
  'sqs',
  (broker) => {
    for (const keyed of [false, true]) {
      const kind = keyed ? 'FIFO' : 'standard'
      const end = keyed ? '.fifo' : ''
      const orders = spec('orders', { keyed, groups: ['email', 'charge'] })

      test(`sqs ${kind}: a receipt names the groups that are missing, each with its error; a retry reaches these alone`, async () => {
        const { connect, drop } = await bench(broker())
        const adapter = await connect()
        await create(adapter, orders)
        await drop(`orders--charge${end}`)
        const message = wire({ key: 'k' })
        const first = outgoing('orders', message)
        const [receipt] = values(await adapter.send([first], call))
        expect(receipt?.missing?.map(({ group, error }) => [group, error.code, error.retryable, error.sent])).toEqual([
          ['charge', 'TOPOLOGY_MISSING', true, 'no'],
        ])
        expect(receipt?.position).not.toBe('')
        await create(adapter, orders)
        const [again] = values(await adapter.send([{ ...first, groups: ['charge'] }], call))
        expect(again?.missing).toBeUndefined()
        for (const group of orders.groups) {
          const member = await subscribe(adapter, orders, { group })
          expect(ids(await member.take(2, 1500))).toEqual([message.id])
        }
      })
    }

    test('sqs: entries that fail in one group are missing there, and stand in the other; the batch goes on', async () => {
      const { connect, gateway } = await bench(broker())
      const adapter = await connect()
      const orders = spec('orders', { groups: ['email', 'charge'] })
      await create(adapter, orders)
      const undo = gateway.refuse((queue, { MessageAttributes: { ce_id } = {} }) => {
        if (!queue.endsWith('--charge')) return undefined
        return ce_id?.StringValue === 'm-3' ? BROKEN : ce_id?.StringValue === 'm-17' ? INVALID : undefined
      })
      const messages = numbered(25)
      const receipts = values(
        await adapter.send(
          messages.map((message) => outgoing('orders', message)),
          call,
        ),
      )
      undo()
      const missing = receipts.flatMap((receipt, index) =>
        (receipt.missing ?? []).map(({ group, error }) => [index, group, error.code, error.sent]),
      )
      expect(missing).toEqual([
        [3, 'charge', 'BROKER_BUSY', 'unknown'],
        [17, 'charge', 'BROKER_REFUSED', 'no'],
      ])
      const email = await (await subscribe(adapter, orders, { group: 'email' })).take(25)
      expect(email).toHaveLength(25)
      const charge = await (await subscribe(adapter, orders, { group: 'charge' })).take(24, 3000)
      expect(ids(charge).toSorted()).toEqual(
        messages
          .map(({ id = '' }) => id)
          .filter((id) => id !== 'm-3' && id !== 'm-17')
          .toSorted(),
      )
    })

    test('sqs: no group has it: the entry fails, uncertain if one of them may have it', async () => {
      const { connect, gateway } = await bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders', { groups: ['email', 'charge'] }))
      const undo = gateway.refuse((queue) => (queue.endsWith('--charge') ? BROKEN : INVALID))
      const [result] = await adapter.send([outgoing('orders', wire())], call)
      undo()
      expect(result?.ok === false && [result.error.sent, result.error.retryable]).toEqual(['unknown', true])
    })

    test('sqs FIFO: the same hand-over again is dropped by SQS, another one of the same message is not', async () => {
      const { connect } = await bench(broker())
      const adapter = await connect()
      const orders = spec('orders', { keyed: true })
      await create(adapter, orders)
      const message = wire({ id: 'once', key: 'k' })
      const first = outgoing('orders', message)
      values(await adapter.send([first], call))
      values(await adapter.send([first], call))
      values(await adapter.send([outgoing('orders', message)], call))
      const member = await subscribe(adapter, orders)
      const taken = await member.take(3, 2500)
      expect(ids(taken)).toEqual(['once', 'once'])
    })

    test('sqs: one group need not be declared, more than one is refused with the ways out', async () => {
      const { connect } = await bench(broker())
      const adapter = await connect()
      const orders = spec('orders', { groups: [] })
      await create(adapter, orders)
      const [nowhere] = await adapter.send([outgoing('orders', wire())], call)
      expect(nowhere?.ok === false && nowhere.error.code).toBe('UNROUTABLE')
      const member = await subscribe(adapter, orders, { group: 'email' })
      await send(adapter, 'orders', wire({ id: 'm-1' }))
      expect(ids(await member.take(1))).toEqual(['m-1'])
      const error = await failure(subscribe(adapter, orders, { group: 'charge' }))
      expect([error.code, error.retryable]).toEqual(['UNSUPPORTED', false])
      expect(error.message).toMatch(/'charge'.*groups: \[/)
    })

    test('sqs: publishing to two groups that nobody declared is refused, not sent to one of them', async () => {
      const { connect, client, namespace } = await bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders', { groups: [] }))
      for (const group of ['email', 'charge'])
        await client.send(new CreateQueueCommand({ QueueName: `${namespace}--orders--${group}` }))
      const [result] = await adapter.send([outgoing('orders', wire())], call)
      expect(result?.ok === false && [result.error.code, result.error.sent]).toEqual(['UNSUPPORTED', 'no'])
    })

    test('sqs: a group that its channel does not declare is refused', async () => {
      const { connect } = await bench(broker())
      const adapter = await connect()
      const orders = spec('orders', { groups: ['email'] })
      await create(adapter, orders)
      const error = await failure(subscribe(adapter, orders, { group: 'charge' }))
      expect(error.code).toBe('UNSUPPORTED')
      expect(error.message).toContain("groups: ['email', 'charge']")
    })

    test('sqs: a declared group that was deleted gets what was confirmed afterwards', async () => {
      const { open, namespace, drop, connect } = await bench(broker())
      const bus = await createBus(open(), { namespace, logger: { debug() {}, info() {}, warn() {}, error() {} } })
      onTestFinished(() => bus.close())
      const orders = channel('orders', { schema: trust<{ n: number }>(), groups: ['email', 'charge'] })
      await bus.publish(orders, { n: 0 })
      await drop('orders--charge')
      await bus.publish(orders, { n: 1 }, { id: 'after' })
      const adapter = await connect()
      const member = await subscribe(adapter, spec('orders', { groups: ['email', 'charge'] }), { group: 'charge' })
      const seen: string[] = []
      await until(
        async () => {
          seen.push(...ids(await member.take(1, 500)))
          return seen.includes('after')
        },
        () => `what was confirmed; got ${seen.join()}`,
      )
    })
  },
  { instance: 'tests' },
)
