// Connections to the brokers of a cluster, one set at a time: one failure or one late answer ends them all, and the next call
// opens new ones. (kafkajs would keep a connection that does not answer.)
import { type Call, type Clock, PolybusError } from '@polybus/core'
import { answered, closed, connectionFailed, kafkaError, missing } from '../errors.ts'
import { persist, within } from '../wait.ts'
import type { Broker, Cluster, RawTopic, Wire } from './wire.ts'

export interface Link {
  /** A round trip: what is known of brokers and topics is new afterwards. Missing topics are among the answers, with their error code. */
  metadata(topics: readonly string[], call?: Call): Promise<readonly RawTopic[]>
  /** Their numbers. */
  brokers(call?: Call): Promise<readonly number[]>
  /** Who leads a partition, from what is known. @throws {PolybusError} `TOPOLOGY_MISSING`, or retryable where there is none now. */
  leader(topic: string, partition: number, call?: Call): Promise<number>
  /** What is known of topics and coordinators may be wrong. */
  forget(): void
  /** One request to one broker. A connection that fails or does not answer within time is ended, with all others. */
  ask<T>(
    node: number | 'any' | 'controller' | Coordinated,
    work: (broker: Broker) => Promise<T>,
    limitMs?: number,
  ): Promise<T>
  close(): Promise<void>
}
export interface Coordinated {
  readonly kind: 'group' | 'transaction'
  readonly id: string
}

interface Open {
  readonly cluster: Cluster
  readonly topics: Map<string, RawTopic>
  readonly coordinators: Map<string, number>
  asking: Promise<unknown>
  dead: PolybusError | undefined
}

/** A topic that every cluster has, or will have: metadata without a topic means all of them. */
const ANY_TOPIC = '__consumer_offsets'
const ignore = (): void => {}

export function createLink(wire: Wire, clock: Clock, timeoutMs: number): Link {
  let current: Open | undefined
  let opening: Promise<Open> | undefined
  /** What is being opened now. */
  let next: Open | undefined
  /** Many ask at once, after a start or a failure. */
  const wanted = new Map<string, Promise<readonly RawTopic[]>>()
  let turn = 0
  let over = false

  const end = (open: Open, error: PolybusError): void => {
    if (open.dead) return
    open.dead = error
    if (current === open) current = undefined
    open.cluster.disconnect(new Error(error.message))
  }
  const tryOne = async (broker: string): Promise<Open> => {
    const made: Open = {
      cluster: wire.open(broker),
      topics: new Map(),
      coordinators: new Map(),
      asking: Promise.resolve(),
      dead: undefined,
    }
    next = made
    try {
      await within(clock, timeoutMs * 2, undefined, made.cluster.connect())
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
    const hosts = await wire.brokers()
    for (let tries = 1; ; tries++)
      try {
        return (current = await tryOne(hosts[turn % hosts.length] as string))
      } catch (error) {
        if (over) throw closed()
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
  /** One at a time: the cluster keeps the last answer only. */
  const refresh = async (to: Open, topics: readonly string[]): Promise<readonly RawTopic[]> => {
    const work = to.asking.catch(ignore).then(async () => (await to.cluster.metadata(topics)).topicMetadata)
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
      return await within(clock, limitMs + to.cluster.graceMs, undefined, work)
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
      if (!to.cluster.known) await refresh(to, [ANY_TOPIC])
      return to.cluster.known?.controllerId
    }
    const place = `${node.kind} ${node.id}`
    const have = to.coordinators.get(place)
    if (have !== undefined) return have
    if (!to.cluster.known) await refresh(to, [ANY_TOPIC])
    const any = await guard(to, to.cluster.broker('any'), timeoutMs)
    const coordinatorType = node.kind === 'group' ? 0 : 1
    const { coordinator } = await guard(to, any.findGroupCoordinator({ groupId: node.id, coordinatorType }), timeoutMs)
    to.coordinators.set(place, coordinator.nodeId)
    return coordinator.nodeId
  }
  const brokerOf = async (to: Open, node: Parameters<Link['ask']>[0]): Promise<Broker> => {
    const { cluster } = to
    try {
      const nodeId = await nodeOf(to, node)
      if (nodeId !== undefined && !cluster.known?.brokers.some((broker) => broker.nodeId === nodeId))
        await refresh(to, [ANY_TOPIC])
      return await within(clock, timeoutMs * 2, undefined, cluster.broker(nodeId ?? 'any'))
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
      const { known } = (await open()).cluster
      return (known?.brokers ?? []).map(({ nodeId }) => nodeId)
    },
    async leader(topic, partition, call) {
      const { partitionMetadata } = await known(topic, call)
      const found = partitionMetadata.find(({ partitionId }) => partitionId === partition)
      if (!found) throw missing(`partition ${partition} of topic '${topic}'`, false)
      if (found.leader < 0) throw answered(5, `to serve partition ${partition} of '${topic}'`) ?? closed()
      return found.leader
    },
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
    async close() {
      over = true
      // Nobody waits for a connection that is only being made.
      if (!current && next) end(next, closed())
      const last = current
      if (!last || last.dead) return
      await within(clock, 500, undefined, last.cluster.close()).catch(ignore)
      end(last, closed())
    },
  }
  return link
}
