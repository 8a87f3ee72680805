// A cluster of kafkajs, and what is put right on its own objects:
// - Each connection wakes a timer every millisecond for ever, and warns of a negative one (TimeoutNegativeWarning).
// - Two requests that need one connection open two, and the events of the one that is forgotten end the other.
// - An error of one topic or partition hides the answers about all others: here the answers come as they are.
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import kafkajs, { type ISocketFactory, type Kafka, type KafkaConfig } from 'kafkajs'
import { PolybusError } from '@polybus/core'
import { canDecode, decodeFetch } from './fetched.ts'
import type { Cluster, Connection } from './internals.ts'

export interface Opened {
  readonly cluster: Cluster
  /** Ends every connection, and those that kafkajs opens later too. */
  disconnect(error: Error): void
}

const FETCH = 1
const METADATA = 3
const { Kafka: KafkaClass, PartitionAssigners } = kafkajs

/** kafkajs hands its cluster to whoever assigns partitions: that is the one public way to it. */
export function openCluster(config: KafkaConfig): Opened {
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
  let cluster: Cluster | undefined
  kafka.consumer({
    groupId: 'polybus',
    allowAutoTopicCreation: false,
    partitionAssigners: [
      (given) => {
        cluster = given.cluster as unknown as Cluster
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
  return {
    cluster,
    disconnect(error) {
      ended = error
      // With an error kafkajs rejects what waits for an answer, and ends its timers.
      for (const socket of sockets) socket.destroy(error)
    },
  }
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

/** What listens to it throws where a frame is none, as of another program's port: that ends the connection, not the process. */
function guarded(socket: Socket): Socket {
  type On = (event: string, listener: (...args: unknown[]) => void) => Socket
  const on = socket.on.bind(socket) as On
  const safely: On = (event, listener) =>
    on(event, event === 'data' ? (...args) => attempt(socket, () => listener(...args)) : listener)
  return Object.assign(socket, { on: safely })
}

function attempt(socket: Socket, run: () => void): void {
  try {
    run()
  } catch (error) {
    socket.destroy(new Error(`What answers does not speak Kafka's protocol: ${String(error)}`, { cause: error }))
  }
}
