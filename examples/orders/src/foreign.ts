// A producer that does not use Polybus: it writes straight to the broker, so that nothing checks what it writes.
import { memory } from '@polybus/memory'
import { connect } from 'amqplib'
import { Redis } from 'ioredis'
import type { BrokerAccess } from './broker-access.ts'
import { accessKafka } from './foreign-kafka.ts'
import { accessSqs } from './foreign-sqs.ts'
import { persist } from './persist.ts'

/** How to get at a broker from the side. Only memory needs the bus's own adapter for it. */
export function accessBroker(url: string): BrokerAccess {
  const scheme = /^[a-z]+/i.exec(url)?.[0].toLowerCase() ?? ''
  if (scheme === 'memory') return accessMemory(url)
  if (scheme === 'redis' || scheme === 'rediss') return accessRedis(url)
  if (scheme === 'amqp' || scheme === 'amqps') return accessRabbitmq(url)
  if (scheme === 'kafka') return accessKafka(url)
  if (scheme === 'sqs') return accessSqs(url)
  return {
    broker: url,
    produce() {
      throw new Error(`This example has no foreign producer for '${scheme}:'. Use --broker memory:`)
    },
    close: () => Promise.resolve(),
  }
}

function accessMemory(url: string): BrokerAccess {
  const broker = memory(url)
  return {
    broker,
    async produce(channel, body) {
      broker.faults.injectForeign(channel, { body: Buffer.from(body) })
    },
    close: () => Promise.resolve(),
  }
}

/** As `redis-cli XADD {orders}:0 '*' data '…'`: an entry of the first of the channel's streams. */
function accessRedis(url: string): BrokerAccess {
  // The query holds options of Polybus.
  const client = new Redis(url.replace(/\?.*$/, ''), { lazyConnect: true })
  // Each call says what went wrong; without a listener the client would print it too.
  client.on('error', () => {})
  return {
    broker: url,
    produce: (channel, body) => persist(() => client.xadd(`{${channel}}:0`, '*', 'data', body)),
    async close() {
      client.disconnect()
    },
  }
}

/** A message without properties, to the channel's exchange. */
function accessRabbitmq(url: string): BrokerAccess {
  return {
    broker: url,
    produce: (channel, body) =>
      persist(async () => {
        const connection = await connect(url.replace(/\?.*$/, ''))
        // The calls below say what went wrong.
        connection.on('error', () => {})
        const publisher = await connection.createConfirmChannel()
        publisher.on('error', () => {})
        publisher.publish(channel, '0', Buffer.from(body), { persistent: true })
        await publisher.waitForConfirms()
        await connection.close()
      }),
    close: () => Promise.resolve(),
  }
}
