// A cluster of kafkajs, and what is put right on its own objects:
// - Each connection wakes a timer every millisecond for ever, and warns of a negative one (TimeoutNegativeWarning).
// - Two requests that need one connection open two, and the events of the one that is forgotten end the other.
// - An error of one topic or partition hides the answers about all others: here the answers come as they are.
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import kafkajs, { type ISocketFactory, type Kafka, type KafkaConfig } from 'kafkajs'
import { PolybusError } from '@polybus/core'
import { canDecode, decodeFetch } from '../engine/fetched.ts'
import { guarded } from '../engine/socket.ts'
import type { Broker, Cluster, RawRequest } from '../engine/wire.ts'
import type { Connection, KafkajsBroker, KafkajsCluster } from './internals.ts'

const FETCH = 1
const METADATA = 3
const { Kafka: KafkaClass, PartitionAssigners } = kafkajs

/** kafkajs hands its cluster to whoever assigns partitions: that is the one public way to it. */
export function openCluster(config: KafkaConfig): Cluster {
  const sockets = new Set<Socket>()
  let ended: Error | undefined
  const socketFactory: ISocketFactory = (args) => {
    const socket = guarded((config.socketFactory ?? socketOf)(args))
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    if (ended) socket.destroy(ended)
    return socket
  }
  const kafka: Kafka = new KafkaClass({ ...config, socketFactory })
  let cluster: KafkajsCluster | undefined
  kafka.consumer({
    groupId: 'polybus',
    allowAutoTopicCreation: false,
    partitionAssigners: [
      (given) => {
        cluster = given.cluster as unknown as KafkajsCluster
        return PartitionAssigners.roundRobin(given)
      },
    ],
  })
  if (!cluster) throw new PolybusError('ADAPTER_BROKEN', 'This version of kafkajs gives no cluster. Install 2.2.4.')
  const builder = cluster.connectionPoolBuilder
  const build = builder.build.bind(builder)
  builder.build = async (to) => {
    const made = await build(to)
    for (const connection of made.pool) mend(connection)
    return made
  }
  const { brokerPool } = cluster
  return {
    // It has time-outs of its own for each request.
    graceMs: 1000,
    connect: () => brokerPool.connect(),
    get known() {
      return brokerPool.metadata ?? undefined
    },
    async metadata(topics) {
      await brokerPool.refreshMetadata(topics)
      return brokerPool.metadata ?? { brokers: [], controllerId: -1, topicMetadata: [] }
    },
    broker: async (node) =>
      brokerOf(await (node === 'any' ? brokerPool.findConnectedBroker() : brokerPool.findBroker({ nodeId: node }))),
    close: () => brokerPool.disconnect(),
    disconnect(error) {
      ended = error
      // With an error kafkajs rejects what waits for an answer, and ends its timers.
      for (const socket of sockets) socket.destroy(error)
    },
  }
}

/** kafkajs's own, with what it lacks. */
function brokerOf(raw: KafkajsBroker): Broker {
  return Object.assign(raw, {
    supports: (apiKey: number) => raw.versions?.[apiKey],
    send: async <T>({ apiKey, apiVersion, body, decode }: RawRequest<T>): Promise<T> => {
      const encoded = { buf: body, buffer: body }
      const read = (payload: Buffer) => {
        const { throttleMs, value } = decode(payload)
        return { clientSideThrottleTime: throttleMs, value }
      }
      const answer = await raw.connectionPool.send({
        // The name is for its log.
        request: { apiKey, apiVersion, apiName: String(apiKey), encode: () => Promise.resolve(encoded) },
        response: { decode: async (payload) => read(payload), parse: (data) => Promise.resolve(data) },
      })
      return (answer as { readonly value: T }).value
    },
  })
}

function mend(connection: Connection): void {
  const queue = connection.requestQueue
  const schedule = queue.scheduleCheckPendingRequests.bind(queue)
  queue.scheduleCheckPendingRequests = () => {
    if (queue.pending.length > 0) schedule()
  }
  const connect = connection.connect.bind(connection)
  let connecting: Promise<unknown> | undefined
  connection.connect = () => {
    connecting ??= connect()
      .catch((error: unknown) => {
        // It gives up waiting, but not the socket.
        connection.socket?.destroy()
        throw error
      })
      .finally(() => (connecting = undefined))
    return connecting
  }
  const send = connection.send.bind(connection)
  const asIs = (data: unknown): Promise<unknown> => Promise.resolve(data)
  connection.send = (protocol) => {
    const { request, response } = protocol
    const { apiKey, apiVersion } = request
    if (apiKey === FETCH && canDecode(apiVersion))
      return send({ request, response: { decode: (payload) => decodeFetch(payload, apiVersion), parse: asIs } })
    return send(apiKey === METADATA ? { request, response: { decode: response.decode, parse: asIs } } : protocol)
  }
}

/** As kafkajs does it, and without waiting for more to send. */
export const socketOf: ISocketFactory = ({ host, port, ssl, onConnect }) => {
  // kafkajs gives what was given to it: true, or options, or nothing.
  const given = ssl as unknown
  const socket =
    given === undefined || given === null || given === false
      ? connectTcp({ host, port }, onConnect)
      : connectTls(
          { host, port, ...(isIP(host) ? {} : { servername: host }), ...(given === true ? {} : ssl) },
          onConnect,
        )
  socket.setKeepAlive(true, 60_000)
  socket.setNoDelay(true)
  return socket
}
