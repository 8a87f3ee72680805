// amqplib by hand.
import { type Channel, type ChannelModel, connect, type ConsumeMessage, type Options } from 'amqplib'
import { LADDER_MS } from '@polybus/core'
import type { Make } from '../purchases.ts'
import { type AttributesOf, type Consuming, GROUP, type Handle, inFlight, type Kind, NAIVE_WIDTH } from './raw.ts'
import { type Publishing, type RawBroker, versionOf } from './raw.ts'

/** Unconfirmed messages of a tuned publisher: as many as Polybus gets. */
const WINDOW = 1000
const PREFETCH = 2000
/** One ack for so many, or for what is there. */
const ACK_EVERY = 250
const KEY = 'purchase'

export const rabbitmq: Kind = {
  messages: 40_000,
  naive: { publish: 1, consume: 0.1 },
  what: {
    publishNaive: `confirm channel, persistent, ${NAIVE_WIDTH} in flight`,
    publishTuned: `confirm channel, persistent and mandatory, ${WINDOW} in flight, no promise a message`,
    consumeNaive: 'prefetch 1, an ack a message',
    consumeTuned: `prefetch ${PREFETCH}, an ack for ${ACK_EVERY}`,
  },
  async open({ url }) {
    const model = await connect(url)
    const { version } = model.connection.serverProperties
    const raw: RawBroker = {
      client: versionOf('amqplib'),
      server: `RabbitMQ ${version}`,
      publishNaive: (channel, make) => publishNaive(url, channel, make),
      publishTuned: (channel, make, attributesOf) => publishTuned(url, channel, make, attributesOf),
      consumeNaive: (channel, handle, fail) => consumeNaive(url, channel, handle, fail),
      consumeTuned: (channel, handle, fail) => consumeTuned(url, channel, handle, fail),
      async left(channel) {
        const aside = await model.createChannel()
        const { messageCount } = await aside.checkQueue(queueOf(channel))
        await aside.close()
        return messageCount
      },
      async drop(channel) {
        const aside = await model.createChannel()
        const queue = queueOf(channel)
        const rungs = LADDER_MS.map((ms) => `${queue}:retry-${ms / 1000}s`)
        for (const name of [queue, `${queue}:dead`, ...rungs]) await aside.deleteQueue(name)
        await aside.deleteExchange(channel)
        await aside.close()
      },
      close: () => model.close(),
    }
    return raw
  },
}

const queueOf = (channel: string): string => `${channel}.${GROUP}`
const bodyOf = (make: Make, index: number): Buffer => Buffer.from(JSON.stringify(make(index)))

async function publishNaive(url: string, exchange: string, make: Make): Promise<Publishing> {
  const model = await connect(url)
  const channel = await model.createConfirmChannel()
  return {
    publish: (from, to) =>
      inFlight(
        from,
        to,
        NAIVE_WIDTH,
        (index) =>
          new Promise<void>((resolve, reject) => {
            channel.publish(exchange, KEY, bodyOf(make, index), { persistent: true }, (error: Error | null) =>
              error ? reject(error) : resolve(),
            )
          }),
      ),
    close: () => model.close(),
  }
}

function propertiesOf(attributesOf: AttributesOf): Options.Publish {
  const { id, source, type, contentType, time } = attributesOf()
  const headers = { ce_specversion: '1.0', ce_source: source, ce_time: time.toISOString() }
  return { messageId: id, type, contentType, timestamp: Math.floor(time.getTime() / 1000), headers }
}

async function publishTuned(
  url: string,
  exchange: string,
  make: Make,
  attributesOf?: AttributesOf,
): Promise<Publishing> {
  const model = await connect(url, { noDelay: true })
  const channel = await model.createConfirmChannel()
  const safe: Options.Publish = { persistent: true, mandatory: true }
  const publish = (from: number, to: number): Promise<void> =>
    new Promise((resolve, reject) => {
      let next = from
      let confirmed = from
      // The window bounds what waits in the socket too: to wait for 'drain' as well would only leave the server idle.
      const pump = (): void => {
        while (next < to && next - confirmed < WINDOW)
          channel.publish(
            exchange,
            KEY,
            bodyOf(make, next++),
            attributesOf ? { ...safe, ...propertiesOf(attributesOf) } : safe,
            onConfirm,
          )
      }
      const onConfirm = (error: Error | null): void => {
        if (error) return reject(error)
        if (++confirmed === to) {
          channel.off('return', onReturn)
          resolve()
        } else pump()
      }
      const onReturn = (): void => reject(new Error('a message came back: no queue wanted it'))
      channel.on('return', onReturn)
      pump()
    })
  return { publish, close: () => model.close() }
}

const purchaseOf = ({ content }: ConsumeMessage): Parameters<Handle>[0] =>
  JSON.parse(content.toString()) as Parameters<Handle>[0]

async function consumeNaive(
  url: string,
  channelName: string,
  handle: Handle,
  fail: (error: unknown) => void,
): Promise<Consuming> {
  const model = await connect(url)
  const channel = await model.createChannel()
  await channel.prefetch(1)
  const { consumerTag } = await channel.consume(queueOf(channelName), (message) => {
    if (message) handle(purchaseOf(message)).then(() => channel.ack(message), fail)
  })
  return { close: () => leave(model, channel, consumerTag) }
}

async function consumeTuned(
  url: string,
  channelName: string,
  handle: Handle,
  fail: (error: unknown) => void,
): Promise<Consuming> {
  const model = await connect(url, { noDelay: true })
  const channel = await model.createChannel()
  await channel.prefetch(PREFETCH)
  let waiting: ConsumeMessage[] = []
  let working: Promise<void> | undefined
  const work = async (): Promise<void> => {
    while (waiting.length > 0) {
      const messages = waiting
      waiting = []
      let unacked: ConsumeMessage | undefined
      for (const [index, message] of messages.entries()) {
        await handle(purchaseOf(message))
        unacked = message
        if ((index + 1) % ACK_EVERY !== 0) continue
        channel.ack(message, true)
        unacked = undefined
      }
      if (unacked) channel.ack(unacked, true)
    }
    working = undefined
  }
  const { consumerTag } = await channel.consume(queueOf(channelName), (message) => {
    if (!message) return fail(new Error('the queue is gone'))
    waiting.push(message)
    // What came in one piece of the socket is handled in one piece.
    working ??= Promise.resolve().then(work)
    working.catch(fail)
  })
  return {
    async close() {
      await working
      await leave(model, channel, consumerTag)
    },
  }
}

/** A cancel is answered behind all acks; a channel that closes without one drops some. */
async function leave(model: ChannelModel, channel: Channel, consumerTag: string): Promise<void> {
  await channel.cancel(consumerTag)
  await model.close()
}
