import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  ListQueuesCommand,
  type QueueAttributeName,
} from '@aws-sdk/client-sqs'
import { type Call, type ChannelSpec, PolybusError, type TopologyChange, type TopologyFacet } from '@polybus/core'
import type { Link } from './connection.ts'
import { isFifo, type Layout, nameIn, type Queue } from './layout.ts'
import { FIFO, groupOf } from './names.ts'

/** What `apply` needs to know; it survives being written down as JSON. */
interface Change extends TopologyChange {
  readonly channel: ChannelSpec
  readonly group: string
}
type Plan = Awaited<ReturnType<TopologyFacet['plan']>>
export type Attributes = Readonly<Partial<Record<QueueAttributeName, string>>>

/** As long as SQS keeps anything. */
export const RETENTION_SECONDS: number = 14 * 86_400

/** The attributes of a queue; undefined: there is none. */
export async function look(link: Link, queue: Queue, call: Call): Promise<Attributes | undefined> {
  try {
    const QueueUrl = await link.url(queue, call)
    const { Attributes = {} } = await link.ask(
      'keep',
      (client, abortSignal) =>
        client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }), { abortSignal }),
      call,
      { situation: { what: `queue '${queue.name}'` } },
    )
    return Attributes
  } catch (error) {
    if (!PolybusError.is(error, 'TOPOLOGY_MISSING')) throw error
    link.forget(queue)
    return undefined
  }
}

/** Groups of a channel that have a queue, declared or not. Only what has a name of ours is found. */
export async function queuesOf(link: Link, { names, keyed }: Layout, call: Call): Promise<readonly string[]> {
  const { QueueUrls = [] } = await link.ask(
    'keep',
    (client, abortSignal) =>
      client.send(new ListQueuesCommand({ QueueNamePrefix: names.prefix, MaxResults: 1000 }), { abortSignal }),
    call,
  )
  const groups = QueueUrls.map(nameIn)
    .filter((name) => name.endsWith(FIFO) === keyed)
    .map((name) => groupOf(names, name))
  return groups.filter((group) => group !== undefined).toSorted()
}

export async function plan(
  link: Link,
  layoutFor: (spec: ChannelSpec) => Layout,
  specs: readonly ChannelSpec[],
  call: Call,
): Promise<Plan> {
  const changes: Change[] = []
  const conflicts: TopologyChange[] = []
  const one = async (spec: ChannelSpec, group: string): Promise<void> => {
    const layout = layoutFor(spec)
    const queues = [layout.queue(group), layout.dead(group)]
    const twin = twinOf(layout, group)
    // Side by side: one after the other takes long.
    const [found, dead, other] = await Promise.all([
      ...queues.map((queue) => wrongType(spec, queue) ?? look(link, queue, call)),
      twin && look(link, twin, call),
    ])
    const missing: Queue[] = []
    for (const [index, queue] of queues.entries()) {
      const has = index === 0 ? found : dead
      if (typeof has === 'string') conflicts.push({ kind: 'queue', name: queue.name, text: has })
      else if (has === undefined && queue.url !== undefined)
        conflicts.push({
          kind: 'queue',
          name: queue.name,
          text: `there is no queue '${queue.name}', and it is not ours to create: it was given by its URL`,
        })
      else if (has === undefined) missing.push(queue)
    }
    // Whoever published to it would not reach this one's consumers.
    if (found === undefined && twin && other !== undefined && typeof other !== 'string')
      conflicts.push({
        kind: 'queue',
        name: twin.name,
        text: `the channel '${spec.name}' has ${spec.keyed ? 'a key, which needs a FIFO queue' : 'no key, which needs a standard queue'}, and '${twin.name}' is a ${spec.keyed ? 'standard' : 'FIFO'} one: SQS cannot change the type of a queue. Empty and delete it, or take another channel name or namespace`,
      })
    else if (missing.length > 0)
      changes.push({
        kind: 'create-group',
        name: `${spec.name}/${group}`,
        text: `create the group '${group}' of the channel '${spec.name}': the ${spec.keyed ? 'FIFO' : 'standard'} queue${missing.length > 1 ? 's' : ''} ${missing.map(({ name }) => `'${name}'`).join(' and ')}, kept for 14 days`,
        channel: spec,
        group,
      })
  }
  await Promise.all(specs.flatMap((spec) => spec.groups.map((group) => one(spec, group))))
  const byName = (a: TopologyChange, b: TopologyChange): number => (a.name < b.name ? -1 : 1)
  return { changes: changes.toSorted(byName), conflicts: conflicts.toSorted(byName) }
}

/** The same name, but for the other type. */
function twinOf(layout: Layout, group: string): Queue | undefined {
  const { name, url } = layout.queue(group)
  if (url !== undefined) return undefined
  return { name: layout.keyed ? name.slice(0, -FIFO.length) : `${name}${FIFO}`, url }
}

function wrongType({ name: channel, keyed }: ChannelSpec, queue: Queue): string | undefined {
  if (isFifo(queue) === keyed) return undefined
  return keyed
    ? `the channel '${channel}' has a key, and '${queue.name}' is a standard queue, which keeps no order: give it a FIFO queue, or take the key off the channel`
    : `'${queue.name}' is a FIFO queue, and the channel '${channel}' has no key: give the channel a key, or a standard queue`
}

/** Creates what is missing; what is there stays as it is. Dead letters first: the other queue names them. */
export async function createGroup(link: Link, layout: Layout, group: string, call: Call): Promise<void> {
  const { visibilityMs, maxReceiveCount, deduplication } = link.settings
  const common: Attributes = {
    MessageRetentionPeriod: String(RETENTION_SECONDS),
    VisibilityTimeout: String(visibilityMs / 1000),
    ...(layout.keyed && {
      FifoQueue: 'true',
      DeduplicationScope: deduplication,
      FifoThroughputLimit: deduplication === 'queue' ? 'perQueue' : 'perMessageGroupId',
    }),
  }
  const dead = layout.dead(group)
  if (dead.url === undefined && (await look(link, dead, call)) === undefined) await create(link, dead, common, call)
  const queue = layout.queue(group)
  if (queue.url !== undefined || (await look(link, queue, call)) !== undefined) return
  const { QueueArn } = (await look(link, dead, call)) ?? {}
  await create(
    link,
    queue,
    {
      ...common,
      // For what nobody ever settles: core moves dead letters itself, long before.
      ...(QueueArn !== undefined && {
        RedrivePolicy: JSON.stringify({ deadLetterTargetArn: QueueArn, maxReceiveCount }),
      }),
    },
    call,
  )
}

async function create(link: Link, { name, url }: Queue, attributes: Attributes, call: Call): Promise<void> {
  link.forget({ name, url })
  await link.ask(
    'keep',
    (client, abortSignal) =>
      client.send(new CreateQueueCommand({ QueueName: name, Attributes: attributes }), { abortSignal }),
    call,
    { situation: { what: `queue '${name}'` } },
  )
}

export async function apply(
  link: Link,
  layoutFor: (spec: ChannelSpec) => Layout,
  changes: readonly TopologyChange[],
  call: Call,
): Promise<void> {
  await Promise.all(
    (changes as readonly Change[]).map(({ channel, group }) => createGroup(link, layoutFor(channel), group, call)),
  )
}
