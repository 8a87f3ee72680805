import { EventEmitter } from 'node:events'
import type { ConfirmChannel } from 'amqplib'
import { PolybusError } from '@polybus/core'
import { expect, test } from 'vitest'
import type { Link } from '../src/connection.ts'
import { createPublisher, type Expected, type Publisher } from '../src/publisher.ts'

type Confirm = (error: Error | null) => void

class Channel extends EventEmitter {
  readonly written: { readonly id: string; readonly confirm: Confirm }[] = []
  open = true
  /** Queues that it was asked for, and how much was written by then. */
  readonly asked: (readonly [string, number])[] = []
  sendImmediately(_: number, { queue }: { readonly queue: string }): void {
    this.asked.push([queue, this.written.length])
  }
  /** Always full. */
  publish(
    ...[, , , { messageId }, confirm]: readonly [string, string, Buffer, { messageId: string }, Confirm]
  ): boolean {
    if (!this.open) throw new Error('Channel closed')
    this.written.push({ id: messageId, confirm })
    return false
  }
  end(): void {
    this.open = false
    this.emit('close')
  }
}

function publishing(): {
  readonly channels: Channel[]
  /** Opens the next one. */
  readonly openings: ((open: boolean) => void)[]
  readonly answers: string[]
  readonly publish: (id: string, expected?: Expected) => void
} {
  const channels: Channel[] = []
  const openings: ((open: boolean) => void)[] = []
  const link = {
    dead: undefined,
    confirmChannel: () =>
      new Promise<ConfirmChannel>((resolve, reject) => {
        openings.push((open) => {
          if (!open) return reject(new PolybusError('CONNECTION_FAILED', 'no channel'))
          const channel = new Channel()
          channels.push(channel)
          resolve(channel as unknown as ConfirmChannel)
        })
      }),
  } as unknown as Link
  const publisher: Publisher = createPublisher(link, true)
  const answers: string[] = []
  const publish = (id: string, expected?: Expected): void =>
    publisher.publish({
      expected,
      exchange: 'flow',
      routingKey: 'a',
      native: { content: Buffer.alloc(0), options: { messageId: id } },
      returned: () => new PolybusError('UNROUTABLE', undefined, { sent: 'no' }),
      answer: (error) => answers.push(error ? `${id}: ${error.code}, sent ${error.sent}` : id),
    })
  return { channels, openings, answers, publish }
}
const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const ids = ({ written }: Channel): string[] => written.map(({ id }) => id)

test('rabbitmq: what is published while the channel is opened leaves first, in its order, and a full buffer holds nothing up', async () => {
  const { channels, openings, answers, publish } = publishing()
  publish('1')
  publish('2')
  expect(openings).toHaveLength(1)
  openings[0]?.(true)
  publish('3')
  await soon()
  publish('4')
  const [channel] = channels as [Channel]
  expect(ids(channel)).toEqual(['1', '2', '3', '4'])
  expect(answers).toEqual([])
  for (const { confirm } of channel.written) confirm(null)
  expect(answers).toEqual(['1', '2', '3', '4'])
})

test('rabbitmq: a channel that closes as it opens carries nothing, and the next publish opens another', async () => {
  const { channels, openings, answers, publish } = publishing()
  publish('1')
  openings[0]?.(true)
  // As soon as somebody listens.
  channels[0]?.on('newListener', (event) => event === 'close' && queueMicrotask(() => channels[0]?.end()))
  await soon()
  publish('2')
  expect(openings).toHaveLength(2)
  openings[1]?.(true)
  await soon()
  expect(ids(channels[1] as Channel)).toEqual(['2'])
  expect(answers).toEqual(['1: CONNECTION_FAILED, sent no'])
})

test('rabbitmq: where no channel can be opened each is told, and the next one tries again', async () => {
  const { channels, openings, answers, publish } = publishing()
  publish('1')
  publish('2')
  openings[0]?.(false)
  await soon()
  expect(answers.map((text) => text.split(',')[0])).toEqual(['1: CONNECTION_FAILED', '2: CONNECTION_FAILED'])
  publish('3')
  openings[1]?.(true)
  await soon()
  expect(ids(channels[0] as Channel)).toEqual(['3'])
})

test('rabbitmq: one that came back is unroutable, and one without an answer when the channel closes may have been sent', async () => {
  const { channels, openings, answers, publish } = publishing()
  publish('1')
  openings[0]?.(true)
  await soon()
  publish('2')
  const [channel] = channels as [Channel]
  channel.emit('return', { fields: { exchange: 'flow', routingKey: 'a' }, properties: { messageId: '1' } })
  channel.written[0]?.confirm(null)
  channel.end()
  channel.written[1]?.confirm(new Error('channel closed'))
  expect(answers).toEqual(['1: UNROUTABLE, sent no', '2: CONNECTION_FAILED, sent unknown'])
})

test('rabbitmq: what a batch expects is asked for before its first message, once a channel, and its loss is told', async () => {
  const { channels, openings, answers, publish } = publishing()
  const expected = { queues: ['flow.a', 'flow.b'] }
  publish('0')
  publish('1', expected)
  publish('2', expected)
  openings[0]?.(true)
  await soon()
  const [first] = channels as [Channel]
  expect(first.asked).toEqual([
    ['flow.a', 1],
    ['flow.b', 1],
  ])
  first.emit(
    'error',
    Object.assign(
      new Error(
        "Channel closed by server: 404 (NOT-FOUND) with message \"NOT_FOUND - no queue 'flow.b' in vhost '/'\"",
      ),
      { code: 404 },
    ),
  )
  first.end()
  for (const { confirm } of first.written) confirm(new Error('channel closed'))
  expect(answers).toEqual([
    '0: CONNECTION_FAILED, sent unknown',
    '1: TOPOLOGY_MISSING, sent no',
    '2: TOPOLOGY_MISSING, sent no',
  ])
  publish('3', expected)
  openings[1]?.(true)
  await soon()
  expect(channels[1]?.asked).toHaveLength(2)
})

test('rabbitmq: a queue that is expected, and that another connection has for itself, is told as what it is', async () => {
  const { channels, openings, answers, publish } = publishing()
  publish('1', { queues: ['flow.a'] })
  openings[0]?.(true)
  await soon()
  const [channel] = channels as [Channel]
  const text = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'flow.a' in vhost '/'"
  channel.emit('error', Object.assign(new Error(text), { code: 405 }))
  channel.end()
  channel.written[0]?.confirm(new Error('channel closed'))
  expect(answers).toEqual(['1: TOPOLOGY_CONFLICT, sent no'])
})

test('rabbitmq: of several batches under way it cannot be told which one was refused', async () => {
  const { channels, openings, answers, publish } = publishing()
  for (const id of ['1', '2', '3']) publish(id, { queues: ['flow.a'] })
  openings[0]?.(true)
  await soon()
  const [channel] = channels as [Channel]
  const [first, ...others] = channel.written
  first?.confirm(null)
  channel.emit('error', Object.assign(new Error("NOT_FOUND - no queue 'flow.a' in vhost '/'"), { code: 404 }))
  channel.end()
  for (const { confirm } of others) confirm(new Error('channel closed'))
  expect(answers).toEqual(['1', '2: TOPOLOGY_MISSING, sent unknown', '3: TOPOLOGY_MISSING, sent unknown'])
})
