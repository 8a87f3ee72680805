import { type Call, PolybusError, type Stats } from '@polybus/core'
import type { Link } from './connection.ts'
import type { Layout } from './layout.ts'

/** Messages that are ready; those on their way to consumers are not told by AMQP. */
export async function depthOf(link: Link, queues: readonly string[], call: Call): Promise<number> {
  if (queues.length === 0) return 0
  const counts = await link.aside((channel) => Promise.all(queues.map((queue) => channel.checkQueue(queue))), call)
  return counts.reduce((sum, { messageCount }) => sum + messageCount, 0)
}

/** `buffered`: fetched by this process and not handed to a handler. Of other processes nothing can be known. */
export async function readStats(
  link: Link,
  layout: Layout,
  group: string,
  buffered: () => number,
  call: Call,
): Promise<Stats> {
  try {
    const [backlog, deadLetters] = await Promise.all([
      depthOf(link, layout.queues(group), call),
      depthOf(link, [layout.dead(group)], call),
    ])
    return { backlog: backlog + buffered(), inFlight: null, oldestAgeMs: null, deadLetters }
  } catch (error) {
    if (!PolybusError.is(error, 'TOPOLOGY_MISSING')) throw error
    throw unknownGroup(layout, group, error)
  }
}

export const unknownGroup = ({ channel }: Layout, group: string, cause?: unknown): PolybusError =>
  new PolybusError('UNKNOWN_GROUP', `The channel '${channel}' has no group '${group}' on RabbitMQ.`, {
    cause,
    sent: 'no',
  })
