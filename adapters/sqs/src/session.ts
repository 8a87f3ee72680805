// What sends, feeds and looks share: the link, and the channels that are known.
import { type Call, type ChannelSpec, PolybusError } from '@polybus/core'
import type { Link } from './connection.ts'
import { missing, unsupported } from './errors.ts'
import { type Layout, layoutOf, type Queue } from './layout.ts'
import { queuesOf } from './topology.ts'

export interface Session {
  readonly link: Link
  /** Of this adapter alone: part of what SQS deduplicates by. */
  readonly instance: string
  readonly namespace: string | undefined
  readonly mayCreate: boolean
  /** Tells dead letters apart that were written within one millisecond. */
  nextOrder(): number
  layoutFor(spec: ChannelSpec): Layout
  /** Rejects where the channel is not known. */
  layout(channel: string): Layout
  /** Those to publish to: the declared ones, or the only one that there is. */
  groups(layout: Layout, call: Call): Promise<readonly string[]>
  /** The queue is gone; what is known of it is forgotten. The error says whether it may be made again. */
  gone(queue: Queue, error: PolybusError): PolybusError
}

export interface SessionOptions {
  readonly link: Link
  readonly instance: string
  readonly namespace: string | undefined
  readonly mayCreate: boolean
  readonly specs: ReadonlyMap<string, ChannelSpec>
}

/** How long the only group of a channel without declared ones is believed to be the only one. */
const ALONE_MS = 10_000

export function createSession({ link, instance, namespace, mayCreate, specs }: SessionOptions): Session {
  const layouts = new WeakMap<ChannelSpec, Layout>()
  let order = 0
  const alone = new Map<string, { readonly group: string; readonly until: number }>()

  const layoutFor = (spec: ChannelSpec): Layout => {
    let layout = layouts.get(spec)
    if (!layout) layouts.set(spec, (layout = layoutOf(link.settings, namespace, spec)))
    return layout
  }
  return {
    link,
    instance,
    namespace,
    mayCreate,
    nextOrder: () => order++,
    layoutFor,
    layout(channel) {
      const spec = specs.get(channel)
      if (!spec) throw missing(`queue of the channel '${channel}': it was never used`, false)
      return layoutFor(spec)
    },
    async groups(layout, call) {
      const { channel, groups } = layout
      if (groups.length > 0) return groups
      const known = alone.get(channel)
      if (known && known.until > link.clock.now()) return [known.group]
      const found = await queuesOf(link, layout, call)
      const [group] = found
      if (group === undefined)
        throw new PolybusError(
          'UNROUTABLE',
          `The channel '${channel}' has no group on SQS, so there is no queue to put the message into. ${DECLARE(channel)}`,
          { sent: 'no' },
        )
      if (found.length > 1) throw manyGroups(channel, found)
      alone.set(channel, { group, until: link.clock.now() + ALONE_MS })
      return [group]
    },
    gone(queue, error) {
      link.forget(queue)
      alone.clear()
      return missing(`queue '${queue.name}'`, mayCreate, error)
    },
  }
}

const DECLARE = (channel: string): string =>
  `Declare the groups where the channel is defined: channel('${channel}', { groups: ['…'] }).`

/** A queue has one reader's messages: whoever publishes has to know all groups. */
export const manyGroups = (channel: string, groups: readonly string[]): PolybusError =>
  unsupported(
    `SQS cannot do more than one group on a channel that declares none: '${channel}' has ${groups.map((group) => `'${group}'`).join(', ')}, and publishers would not know of all of them. Nearest: ${DECLARE(channel)} Or one channel for each group; or an SNS topic before the queues, with sqs().channels.`,
  )
