// Native names. `--` stands in no name of ours, so that nothing collides.
import { createHash } from 'node:crypto'
import { invalid } from '@polybus/core'

/** SQS allows no more. */
const LONGEST = 80
export const FIFO = '.fifo'
const DEAD = 'dlq'

export interface Names {
  /** What the names of all groups' queues begin with. */
  readonly prefix: string
  queue(group: string): string
  dead(group: string): string
}

export function namesOf(namespace: string | undefined, channel: string, fifo: boolean): Names {
  const prefix = namespace === undefined ? `${channel}--` : `${namespace}--${channel}--`
  const of = (group: string, end: string): string => {
    const name = `${prefix}${group}${end}${fifo ? FIFO : ''}`
    if (group === DEAD)
      throw invalid('group', `'${DEAD}' is how names of dead-letter queues end on SQS; take another name.`)
    if (name.length > LONGEST)
      throw invalid(
        `channels.${channel}.groups.${group}`,
        `the queue's name '${name}' has ${name.length} characters, and SQS allows ${LONGEST}: shorten the namespace, the channel or the group, or give sqs().channels.${channel}.groups.${group} its queueUrl and deadLetterQueueUrl.`,
      )
    return name
  }
  return { prefix, queue: (group) => of(group, ''), dead: (group) => of(group, `--${DEAD}`) }
}

/** The group of a queue of this channel; undefined for dead letters and for what is not ours. */
export function groupOf({ prefix }: Names, queue: string): string | undefined {
  const group = queue.startsWith(prefix) ? queue.slice(prefix.length).replace(/\.fifo$/, '') : ''
  return group === '' || group.includes('--') ? undefined : group
}

/** Group ids may hold no spaces and nothing beyond ASCII, and 128 characters: keys may. */
export const groupIdOf = (key: string): string => createHash('sha256').update(key).digest('base64url')
