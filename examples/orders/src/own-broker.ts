// A URL without a host, such as `redis:`, means a server of this run's own.
import { beginRun, type BrokerName, type RunningBroker, startBroker } from '@polybus/brokers'

const SERVICES: Readonly<Record<string, BrokerName>> = {
  redis: 'redis',
  amqp: 'rabbitmq',
  kafka: 'kafka',
  sqs: 'sqs',
}

export interface Place {
  /** Of a server that runs. */
  readonly url: string
  /** The server, where it was brought up for this run. */
  readonly broker: RunningBroker | undefined
  /** Ends what was brought up for it. */
  end(): Promise<void>
}

/** The service that a URL without a host stands for. */
export function ownService(url: string): BrokerName | undefined {
  const scheme = /^([a-z]+):(\/\/)?$/i.exec(url)?.[1]?.toLowerCase()
  return scheme === undefined ? undefined : SERVICES[scheme]
}

/**
 * Starts the server where the URL names none. It ends with this program, however that ends.
 *
 * @throws {BrokerUnavailable} saying what is missing on this machine.
 */
export async function findPlace(url: string, say: (text: string) => void): Promise<Place> {
  const service = ownService(url)
  if (service === undefined) return { url, broker: undefined, end: () => Promise.resolve() }
  const run = beginRun()
  try {
    const broker = await startBroker(service, { instance: `orders-${process.pid}`, say })
    say(`Brought up ${service} for this run: ${broker.url} (log: ${broker.log})`)
    return {
      url: broker.url,
      broker,
      async end() {
        await broker.remove()
        await run.end()
      },
    }
  } catch (error) {
    await run.end()
    throw error
  }
}
