import { type Call, PolybusError, type Stats } from '@polybus/core'
import type { Link } from './connection.ts'
import type { Layout } from './layout.ts'
import { type Attributes, look } from './topology.ts'

const numberOf = (attributes: Attributes, name: keyof Attributes): number => Number(attributes[name] ?? 0)

/** The age of the oldest message is known to CloudWatch alone. Dead letters that somebody looks at are dead letters too. */
export async function readStats(link: Link, layout: Layout, group: string, call: Call): Promise<Stats> {
  const [queue, dead] = await Promise.all([look(link, layout.queue(group), call), look(link, layout.dead(group), call)])
  if (!queue) throw unknownGroup(layout, group)
  return {
    backlog: numberOf(queue, 'ApproximateNumberOfMessages'),
    inFlight: numberOf(queue, 'ApproximateNumberOfMessagesNotVisible'),
    oldestAgeMs: null,
    deadLetters:
      dead === undefined
        ? null
        : numberOf(dead, 'ApproximateNumberOfMessages') + numberOf(dead, 'ApproximateNumberOfMessagesNotVisible'),
  }
}

export const unknownGroup = ({ channel }: Layout, group: string, cause?: unknown): PolybusError =>
  new PolybusError('UNKNOWN_GROUP', `The channel '${channel}' has no group '${group}' on SQS.`, { cause, sent: 'no' })
