import { randomUUID } from 'node:crypto'
import type { SQSClient } from '@aws-sdk/client-sqs'
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
} from '@polybus/core'
import { openSession } from './browse.ts'
import { capabilitiesOf } from './capabilities.ts'
import { type Link, openLink } from './connection.ts'
import { aborted, closed, conflict, connectionFailed, unsupported } from './errors.ts'
import { createFeed, type FeedOptions } from './feed.ts'
import { readHazards } from './hazards.ts'
import type { Token } from './held.ts'
import type { Layout } from './layout.ts'
import { size } from './mapping.ts'
import { checkOptions, type SqsOptions } from './options.ts'
import { sendAll } from './send.ts'
import { createSession, manyGroups, type Session } from './session.ts'
import { readStats } from './stats.ts'
import { createWatch, type Watch } from './watch.ts'
import { apply, createGroup, plan, queuesOf } from './topology.ts'

export interface SqsAdapter extends Adapter {
  /** One of the SDK's clients, as it is now: for what Polybus does not do. */
  readonly client: SQSClient | undefined
}

const NEVER = new AbortController().signal

/**
 * Channels on Amazon SQS: a queue for each group, FIFO where the channel has a key. Publishing needs the channel's groups
 * declared, because a queue has no subscribers.
 *
 * @param options See {@link SqsOptions}; a text is a URL such as `sqs://eu-west-1`.
 * @throws {PolybusError} `INVALID_OPTION` where an option is wrong.
 * @example
 * const bus = await connect({ broker: sqs({ region: 'eu-west-1' }) })
 */
export function sqs(options: string | SqsOptions = {}): SqsAdapter {
  return createSqs(options)
}

/** @param makeFeed lambda() has another one. */
export function createSqs(
  options: string | SqsOptions,
  makeFeed: (options: FeedOptions) => Promise<Feed> = createFeed,
): SqsAdapter {
  const settings = checkOptions(options)
  const given = typeof options === 'string' ? undefined : options.clock
  const clock: Clock = given ?? systemClock()
  const instance = randomUUID()
  const specs = new Map<string, ChannelSpec>()
  const orphans = new Map<string, Token[]>()
  const feeds = new Set<Feed>()
  let link: Link | undefined
  let session: Session | undefined
  let watch: Watch | undefined
  let over = false

  const connected = (): Session => {
    if (over) throw closed()
    if (!session) throw connectionFailed('it is not connected', 'no')
    return session
  }
  const layoutOf = (spec: ChannelSpec): Layout => {
    learn(spec)
    return connected().layoutFor(spec)
  }
  const learn = (spec: ChannelSpec): void => void specs.set(spec.name, spec)

  const subscribe = async (source: Source, call: Call): Promise<Feed> => {
    const to = connected()
    const { channel: spec, group } = source
    const layout = layoutOf(spec)
    if (!spec.groups.includes(group)) await joinUndeclared(to, layout, spec, group, call)
    const queue = layout.queue(group)
    let queueUrl: string
    try {
      queueUrl = await to.link.url(queue, call)
    } catch (error) {
      throw PolybusError.is(error, 'TOPOLOGY_MISSING') ? to.gone(queue, error) : error
    }
    const place = `${spec.name}/${group}`
    let left = orphans.get(place)
    if (!left) orphans.set(place, (left = []))
    const feed = await makeFeed({ session: to, layout, queue, queueUrl, source, orphans: left })
    feeds.add(feed)
    return {
      ...feed,
      async close() {
        try {
          await feed.close()
        } finally {
          feeds.delete(feed)
        }
      },
    }
  }
  /** A group that no publisher is told of: only where it is the channel's one and only. */
  const joinUndeclared = async (
    to: Session,
    layout: Layout,
    spec: ChannelSpec,
    group: string,
    call: Call,
  ): Promise<void> => {
    if (spec.groups.length > 0)
      throw unsupported(
        `SQS cannot do a group that its channel does not declare: '${group}' is none of the groups of '${spec.name}', so nothing would be published to it. Nearest: declare it too: channel('${spec.name}', { groups: [${[...spec.groups, group].map((name) => `'${name}'`).join(', ')}] }).`,
      )
    const others = (await queuesOf(to.link, layout, call)).filter((other) => other !== group)
    if (others.length > 0) throw manyGroups(spec.name, [...others, group])
    if (!to.mayCreate) return
    const { conflicts } = await plan(to.link, to.layoutFor, [{ ...spec, groups: [group] }], call)
    if (conflicts[0]) throw conflict(conflicts.map(({ text }) => text).join('; '))
    await createGroup(to.link, layout, group, call)
  }

  return {
    name: 'sqs',
    seam: 1,
    ...(given && { clock: given }),
    limits: { messages: 100, bytes: 4 * 2 ** 20, concurrency: 4 },
    capabilities(spec) {
      learn(spec)
      return capabilitiesOf(spec, settings)
    },
    size,
    get client() {
      return link?.client
    },

    async connect(call: ConnectCall) {
      if (over) throw closed()
      if (call.signal.aborted) throw aborted('no')
      const { namespace } = call
      const mayCreate = call.topology === 'create'
      watch?.stop()
      const to = (link ??= openLink(settings, clock))
      const prove = (by: Call): Promise<void> => to.prove(`${namespace ?? 'polybus'}--connected`, by)
      await prove(call)
      if (over) throw closed()
      const { onLost } = call
      watch =
        onLost &&
        createWatch(
          clock,
          () => to.answeredAt,
          () => prove({ signal: NEVER }),
          onLost,
        )
      if (!session || session.namespace !== namespace || session.mayCreate !== mayCreate)
        session = createSession({ link: to, instance, namespace, mayCreate, specs })
    },

    async send(batch, call) {
      return sendAll(connected(), batch, call)
    },
    subscribe,

    async close() {
      over = true
      watch?.stop()
      // What they hold goes back before there are no more sockets.
      await Promise.allSettled([...feeds].map((feed) => feed.close()))
      link?.close()
    },

    hazards: async (spec, call) => readHazards(connected().link, layoutOf(spec), spec, call),
    topology: {
      async plan(list, call) {
        for (const spec of list) learn(spec)
        const to = connected()
        return plan(to.link, to.layoutFor, list, call)
      },
      async apply(changes, call) {
        const to = connected()
        await apply(to.link, to.layoutFor, changes, call)
      },
    },
    stats: {
      read: async (spec, group, call) => readStats(connected().link, layoutOf(spec), group, call),
    },
    browse: {
      open: async (spec, group, call) => openSession(connected().link, layoutOf(spec), group, call),
    },
  }
}
