import { randomUUID } from 'node:crypto'
import type { Kafka } from 'kafkajs'
import {
  type Adapter,
  type Call,
  type ChannelSpec,
  type Clock,
  type ConnectCall,
  type Feed,
  PolybusError,
  type Source,
  systemClock,
  type Timer,
} from '@polybus/core'
import { openSession } from './browse.ts'
import { capabilitiesOf } from './capabilities.ts'
import type { Client } from './client.ts'
import { aborted, closed, connectionFailed, CREATE_IT, kafkaError } from './errors.ts'
import { createFeed, type KafkaFeed } from './feed.ts'
import { readHazards } from './hazards.ts'
import type { Layout } from './layout.ts'
import { size } from './mapping.ts'
import { openClient } from './open-client.ts'
import { checkOptions, type KafkaOptions } from './options.ts'
import { checkReadable } from './readable.ts'
import { rewind } from './rewind.ts'
import { sendAll } from './send.ts'
import { createSession, type Session } from './session.ts'
import { readStats } from './stats.ts'
import { apply, ensureGroup, plan } from './topology.ts'

export interface KafkaAdapter extends Adapter {
  /** kafkajs, for what Polybus does not do. Undefined before the first connect, and with another client. */
  readonly client: Kafka | undefined
}

/**
 * Channels on Kafka: a topic each, and a consumer group a group. Needs Kafka 2.4 or newer, or what speaks its protocol.
 *
 * @param options See {@link KafkaOptions}; a text is its `url`.
 * @throws {PolybusError} `INVALID_OPTION` where an option is wrong.
 * @example
 * const bus = await connect({ broker: kafka({ url: 'kafka://localhost:9092' }) })
 */
export function kafka(options: string | KafkaOptions): KafkaAdapter {
  const settings = checkOptions(options)
  const given = typeof options === 'string' ? undefined : options.clock
  const clock: Clock = given ?? systemClock()
  const instance = randomUUID().slice(0, 8)
  const specs = new Map<string, ChannelSpec>()
  const feeds = new Set<KafkaFeed>()
  /** By consumer group: ids of members that could not leave it. */
  const orphans = new Map<string, string[]>()
  const life = new AbortController()
  let client: Client | undefined
  let session: Session | undefined
  let lost: PolybusError | undefined
  let watch: Timer | undefined
  /** Of `connect`: an answer to an earlier one means nothing. */
  let round = 0
  let over = false

  const connected = (): Session => {
    if (over) throw closed()
    if (!session || lost) throw connectionFailed(lost?.message ?? 'it is not connected', 'no')
    return session
  }
  const layoutOf = (spec: ChannelSpec): Layout => {
    if (!specs.has(spec.name)) specs.set(spec.name, spec)
    return connected().layoutFor(spec)
  }
  /** An idle bus has to notice too that nobody is there any more. */
  const watchOver = (of: Client, tell: ConnectCall['onLost'], mine: number): void => {
    watch = clock.timer(settings.commandTimeoutMs, () => {
      of.connect({ signal: life.signal }).then(
        () => {
          if (mine === round) watchOver(of, tell, mine)
        },
        (error: unknown) => {
          if (mine !== round) return
          lost = kafkaError(error)
          tell?.(lost)
        },
      )
    })
  }
  const subscribe = async (source: Source, call: Call): Promise<Feed> => {
    const to = connected()
    const { channel: spec, group } = source
    const layout = layoutOf(spec)
    if (to.mayCreate) await ensureGroup(to, spec, group, call)
    let known = orphans.get(layout.group(group))
    if (!known) orphans.set(layout.group(group), (known = []))
    const join = async (): Promise<KafkaFeed> => {
      await checkReadable(to, layout.topic, call)
      return createFeed(to, layout, source, known, call)
    }
    const feed = await join().catch((error: unknown) => {
      throw PolybusError.is(error, 'TOPOLOGY_MISSING') ? missingHere(error, to.mayCreate) : error
    })
    feeds.add(feed)
    const { close } = feed
    return Object.assign(feed, {
      close: () => {
        feeds.delete(feed)
        return close()
      },
    })
  }
  const feedsOf = (channel: string, group: string): readonly KafkaFeed[] =>
    [...feeds].filter((feed) => feed.channel === channel && feed.group === group)

  return {
    name: 'kafka',
    seam: 1,
    ...(given && { clock: given }),
    limits: { messages: 1000, bytes: 8 * 2 ** 20, concurrency: 4 },
    // Who was killed is waited for until its session ends, and who is busy until it has handed over.
    joinMs: settings.sessionTimeoutMs + settings.handoverMs,
    capabilities(spec) {
      specs.set(spec.name, spec)
      return capabilitiesOf(settings, spec)
    },
    size,
    get client() {
      return client?.native as Kafka | undefined
    },

    async connect(call: ConnectCall) {
      if (over) throw closed()
      if (call.signal.aborted) throw aborted('no')
      watch?.cancel()
      const mine = ++round
      const mayCreate = call.topology === 'create'
      const of = (client ??= openClient(settings, clock, `${call.service}-${instance}`))
      await of.connect(call)
      if (over) throw closed()
      lost = undefined
      if (session?.namespace !== call.namespace || session?.mayCreate !== mayCreate) {
        await session?.close()
        session = createSession({ client: of, clock, settings, namespace: call.namespace, mayCreate, specs })
      }
      session.forgetAll()
      if (mine === round) watchOver(of, call.onLost, mine)
    },

    async send(batch, call) {
      const mine = round
      const results = await sendAll(connected(), batch, call)
      const failed = results.find((result) => !result.ok && result.error.code === 'CONNECTION_FAILED')
      // What comes before the next connect is answered at once, and so with certainty.
      if (failed && !failed.ok && mine === round) lost ??= failed.error
      return results
    },
    subscribe,

    async close() {
      over = true
      round++
      watch?.cancel()
      life.abort(closed())
      await client?.close()
    },

    hazards: async (spec, call) => readHazards(connected(), spec, call),
    topology: {
      plan: async (list, call) => {
        for (const spec of list) specs.set(spec.name, spec)
        return plan(connected(), list, call)
      },
      apply: async (changes, call) => apply(connected(), changes, call),
    },
    stats: {
      read: async (spec, group, call) => {
        const local = feedsOf(spec.name, group).flatMap((feed) => feed.local())
        return readStats(connected(), layoutOf(spec), group, local, call)
      },
    },
    browse: {
      open: async (spec, group, call) => openSession(connected(), layoutOf(spec), group, call),
    },
    rewind: {
      rewind: async (spec, group, to, call) =>
        rewind(connected(), layoutOf(spec), group, to, () => feedsOf(spec.name, group), call),
    },
  }
}

/** Who may create nothing will not find it the next time either. */
const missingHere = (error: PolybusError, retryable: boolean): PolybusError => {
  const hint = error.retryable && !retryable ? CREATE_IT : ''
  return new PolybusError('TOPOLOGY_MISSING', `${error.message}${hint}`, { cause: error, retryable, sent: 'no' })
}
