// The way to a broker that children are told: through a proxy, where connections can be cut.
import { connect as connectTcp } from 'node:net'
import { kafka, type KafkaOptions } from '@polybus/kafka'
import { type Bus, connect, type ConnectOptions } from 'polybus'

interface Address {
  readonly host: string
  readonly port: number
}
export interface Access {
  readonly url: string
  /** Kafka's clients go to the address that a broker tells: that one is reached by another. */
  readonly detour?: { readonly from: Address; readonly to: Address }
}

const PORTS: Readonly<Record<string, number>> = { redis: 6379, amqp: 5672, kafka: 9092, sqs: 9324 }
/** Scheme, whoever logs in, and the first host with its port. */
const URL_PARTS = /^([a-z]+):\/\/([^/?]*@)?([^/?@:,]+)(?::(\d+))?/i

export function addressOf(url: string): Address {
  const [, scheme = '', , host = '127.0.0.1', port] = URL_PARTS.exec(url) ?? []
  return { host, port: port === undefined ? (PORTS[scheme.toLowerCase()] ?? 0) : Number(port) }
}

export function through(url: string, to: Address): Access {
  if (/^kafka:/i.test(url)) return { url, detour: { from: addressOf(url), to } }
  return { url: url.replace(URL_PARTS, (_, scheme: string, user = '') => `${scheme}://${user}${to.host}:${to.port}`) }
}

export function connectBy({ url, detour }: Access, options: ConnectOptions): Promise<Bus> {
  if (!detour) return connect({ ...options, broker: url })
  const { from, to } = detour
  const reach = ({ host, port }: Address): Address => (host === from.host && port === from.port ? to : { host, port })
  const client: KafkaOptions['client'] = /[?&]client=platformatic\b/.test(url)
    ? { kind: 'platformatic', addressOf: reach }
    : { socketFactory: ({ host, port, onConnect }) => connectTcp(reach({ host, port }), onConnect) }
  return connect({ ...options, broker: kafka({ url, client }) })
}
