// Native names. Channels, groups and namespaces hold no '.', so nothing collides but by Kafka's own rule: it takes '.' and '_'
// for the same in topics.
import { invalid } from '@polybus/core'
import type { TopicPartition } from './client.ts'

export interface Names {
  readonly topic: string
  /** The id of a consumer group. */
  group(group: string): string
  rung(group: string, delayMs: number): string
  dead(group: string): string
}

export function namesOf(namespace: string | undefined, channel: string): Names {
  const base = namespace === undefined ? channel : `${namespace}.${channel}`
  return {
    topic: base,
    group: (group) => `${base}.${group}`,
    rung: (group, delayMs) => `${base}.${group}.retry.${short(delayMs)}`,
    dead: (group) => `${base}.${group}.dlq`,
  }
}

/** Topics hold no slash. */
export const placeOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`

const short = (ms: number): string => (ms % 60_000 === 0 ? `${ms / 60_000}m` : `${ms / 1000}s`)

/** Where is written down which dead letters were taken off: records of a log cannot be deleted one by one. */
export const removedOf = (dead: string, field: string): string => checkTopic(`${dead}.done`, field)

/** @throws {PolybusError} `INVALID_OPTION` where Kafka would not take it for the name of a topic. */
export function checkTopic(topic: string, field: string): string {
  if (!/^[A-Za-z0-9._-]{1,249}$/.test(topic) || topic === '.' || topic === '..')
    throw invalid(field, `'${topic}' is no name for a topic: Kafka takes 1 to 249 letters, digits, '.', '_' and '-'.`)
  return topic
}
