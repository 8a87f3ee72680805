// Connections to the brokers of a cluster, of one kafkajs cluster at a time. What kafkajs does badly is put right here, on
// this cluster's own objects:
// - Each connection wakes a timer every millisecond for ever, and warns of a negative one (TimeoutNegativeWarning).
// - Two requests that need one connection open two, and the events of the one that is forgotten end the other.
// - A connection that does not answer is kept: here one failure or one late answer ends the whole cluster, and the next call
//   opens a new one.
// - An error of one topic or partition hides the answers about all others: here the answers come as they are.
import type { Socket } from 'node:net'
import { connect as connectTcp, isIP } from 'node:net'
import { connect as connectTls } from 'node:tls'
import kafkajs, { type ISocketFactory, type Kafka, type KafkaConfig } from 'kafkajs'
import { type Call, type Clock, PolybusError } from '@polybus/core'
import { answered, closed, connectionFailed, kafkaError, missing } from '../errors.ts'
import { canDecode, decodeFetch } from './fetched.ts'
import type { Broker, Cluster, Connection, RawTopic } from './internals.ts'
import { persist, within } from './wait.ts'

export interface Link {
  /** A round trip: what is known of brokers and topics is new afterwards. Missing topics are among the answers, with their error code. */
  metadata(topics: readonly string[], call?: Call): Promise<readonly RawTopic[]>
  brokers(call?: Call): Promise<readonly { readonly node: number; readonly host: string; readonly port: number }[]>
  /** Who leads a partition, from what is known. @throws {PolybusError} `TOPOLOGY_MISSING`, or retryable where there is none now. */
  leader(topic: string, partition: number, call?: Call): Promise<number>
  /** How many partitions a topic has, from what is known. */
  count(topic: string, call?: Call): Promise<number>
  /** What is known of topics and coordinators may be wrong. */
  forget(): void
  /** One request to one broker. A connection that fails or does not answer within time is ended, with all others. */
  ask<T>(
    node: number | 'any' | 'controller' | Coordinated,
    work: (broker: Broker) => Promise<T>,
    limitMs?: number,
  ): Promise<T>
  /** Ends what is connected now; the next call connects anew. */
  end(error: PolybusError): void
  close(): Promise<void>
}
export interface Coordinated {
  readonly kind: 'group' | 'transaction'
  readonly id: string
}

interface Open {
  readonly cluster: Cluster
  readonly sockets: Set<Socket>
  readonly topics: Map<string, RawTopic>
  readonly coordinators: Map<string, number>
  asking: Promise<unknown>
  dead: PolybusError | undefined
}

const FETCH = 1
const METADATA = 3
/** A topic that every cluster has, or will have: metadata without a topic means all of them. */
const ANY_TOPIC = '__consumer_offsets'
const { Kafka: KafkaClass, PartitionAssigners } = kafkajs
const ignore = (): void => {}

export function createLink(config: KafkaConfig, clock: Clock, timeoutMs: number): Link {
  let current: Open | undefined
  let opening: Promise<Open> | undefined
  /** Many ask at once, after a start or a failure. */
  const wanted = new Map<string, Promise<readonly RawTopic[]>>()
  let turn = 0
  let over = false

  const end = (open: Open, error: PolybusError): void => {
    if (open.dead) return
    open.dead = error
    if (current === open) current = undefined
    // With an error kafkajs rejects what waits for an answer, and ends its timers.
    for (const socket of open.sockets) socket.destroy(new Error(error.message))
    open.sockets.clear()
  }
  const tryOne = async (broker: string): Promise<Open> => {
    const made = openCluster({ ...config, brokers: [broker] })
    try {
      await within(clock, timeoutMs * 2, undefined, made.cluster.brokerPool.connect())
      if (over) throw closed()
      return made
    } catch (thrown) {
      const error = kafkaError(thrown, 'no')
      end(made, error)
      throw error
    }
  }
  /** Each host once, beginning behind the one that was tried last. */
  const tryAll = async (): Promise<Open> => {
    const { brokers } = config
    const hosts = typeof brokers === 'function' ? await brokers() : brokers
    for (let tries = 1; ; tries++)
      try {
        return (current = await tryOne(hosts[turn % hosts.length] as string))
      } catch (error) {
        turn++
        if (tries >= hosts.length || !PolybusError.is(error, 'CONNECTION_FAILED')) throw kafkaError(error, 'no')
      }
  }
  const open = async (): Promise<Open> => {
    if (over) throw closed()
    if (current) return current
    opening ??= tryAll().finally(() => (opening = undefined))
    return opening
  }
  /** One at a time: kafkajs keeps the last answer only. */
  const refresh = async (to: Open, topics: readonly string[]): Promise<readonly RawTopic[]> => {
    const { brokerPool } = to.cluster
    const work = to.asking.catch(ignore).then(async () => {
      await brokerPool.refreshMetadata(topics)
      return brokerPool.metadata?.topicMetadata ?? []
    })
    to.asking = work
    const found = await guard(to, work, timeoutMs)
    for (const each of found)
      if (each.topicErrorCode === 0) to.topics.set(each.topic, each)
      else to.topics.delete(each.topic)
    return found
  }
  /** Ends everything where a connection failed: the others may be as dead. */
  const guard = async <T>(to: Open, work: Promise<T>, limitMs: number): Promise<T> => {
    try {
      // kafkajs has time-outs of its own for each request; what waits behind those must end too.
      return await within(clock, limitMs + 1000, undefined, work)
    } catch (thrown) {
      if (to.dead) throw connectionFailed(to.dead.message, 'unknown', thrown)
      const error = kafkaError(thrown, 'unknown')
      if (error.code === 'CONNECTION_FAILED') end(to, error)
      throw error
    }
  }
  const known = async (topic: string, call: Call | undefined): Promise<RawTopic> => {
    const to = await open()
    const have = to.topics.get(topic)
    if (have) return have
    let asked = wanted.get(topic)
    if (!asked) {
      asked = link.metadata([topic]).finally(() => wanted.delete(topic))
      wanted.set(topic, asked)
    }
    const [found] = await within(clock, timeoutMs * 2, call?.signal, asked)
    if (!found || found.topicErrorCode === 3) throw missing(`topic '${topic}'`, true)
    const error = answered(found.topicErrorCode, `to say who leads '${topic}'`)
    if (error) throw error
    return found
  }
  const nodeOf = async (to: Open, node: Parameters<Link['ask']>[0]): Promise<number | undefined> => {
    if (node === 'any') return undefined
    if (typeof node === 'number') return node
    if (node === 'controller') {
      if (!to.cluster.brokerPool.metadata) await refresh(to, [ANY_TOPIC])
      return to.cluster.brokerPool.metadata?.controllerId
    }
    const place = `${node.kind} ${node.id}`
    const have = to.coordinators.get(place)
    if (have !== undefined) return have
    if (!to.cluster.brokerPool.metadata) await refresh(to, [ANY_TOPIC])
    const any = await guard(to, to.cluster.brokerPool.findConnectedBroker(), timeoutMs)
    const coordinatorType = node.kind === 'group' ? 0 : 1
    const { coordinator } = await guard(to, any.findGroupCoordinator({ groupId: node.id, coordinatorType }), timeoutMs)
    to.coordinators.set(place, coordinator.nodeId)
    return coordinator.nodeId
  }
  const brokerOf = async (to: Open, node: Parameters<Link['ask']>[0]): Promise<Broker> => {
    const { brokerPool } = to.cluster
    try {
      const nodeId = await nodeOf(to, node)
      if (nodeId !== undefined && !brokerPool.metadata?.brokers.some((broker) => broker.nodeId === nodeId))
        await refresh(to, [ANY_TOPIC])
      return await within(
        clock,
        timeoutMs * 2,
        undefined,
        nodeId === undefined ? brokerPool.findConnectedBroker() : brokerPool.findBroker({ nodeId }),
      )
    } catch (error) {
      to.topics.clear()
      to.coordinators.clear()
      throw kafkaError(error, 'no')
    }
  }

  const link: Link = {
    metadata: async (topics, call) =>
      persist({ clock, limitMs: timeoutMs, call, onStale: ignore }, async () =>
        refresh(await open(), topics.length === 0 ? [ANY_TOPIC] : topics),
      ),
    async brokers(call) {
      await link.metadata([], call)
      const { metadata } = (await open()).cluster.brokerPool
      return (metadata?.brokers ?? []).map(({ nodeId, host, port }) => ({ node: nodeId, host, port }))
    },
    async leader(topic, partition, call) {
      const { partitionMetadata } = await known(topic, call)
      const found = partitionMetadata.find(({ partitionId }) => partitionId === partition)
      if (!found) throw missing(`partition ${partition} of topic '${topic}'`, false)
      if (found.leader < 0) throw answered(5, `to serve partition ${partition} of '${topic}'`) ?? closed()
      return found.leader
    },
    count: async (topic, call) => (await known(topic, call)).partitionMetadata.length,
    forget() {
      current?.topics.clear()
      current?.coordinators.clear()
    },
    async ask(node, work, limitMs = timeoutMs) {
      const to = await open()
      const broker = await brokerOf(to, node)
      if (to.dead) throw connectionFailed(to.dead.message, 'no', to.dead)
      return guard(to, work(broker), limitMs)
    },
    end(error) {
      if (current) end(current, error)
    },
    async close() {
      over = true
      const last = current ?? (await opening?.catch(ignore))
      if (!last || last.dead) return
      await within(clock, 500, undefined, last.cluster.brokerPool.disconnect()).catch(ignore)
      end(last, closed())
    },
  }
  return link
}

/** kafkajs hands its cluster to whoever assigns partitions: that is the one public way to it. */
function openCluster(config: KafkaConfig): Open {
  const sockets = new Set<Socket>()
  const kafka: Kafka = new KafkaClass({ ...config, socketFactory: tracked(config.socketFactory ?? socketOf, sockets) })
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
  const dead = undefined
  return { cluster, sockets, topics: new Map(), coordinators: new Map(), asking: Promise.resolve(), dead }
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

const tracked =
  (factory: ISocketFactory, sockets: Set<Socket>): ISocketFactory =>
  (args) => {
    const socket = factory(args)
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    return socket
  }

/** As kafkajs does it, and without waiting for more to send. */
const socketOf: ISocketFactory = ({ host, port, ssl, onConnect }) => {
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
