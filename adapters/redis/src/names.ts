// Native names. Everything of a channel has one hash tag, so that a script may touch all of it on a cluster too: a name
// without braces hashes as a whole, to where the same text in braces does.
import type { RedisChannelOptions } from './options.ts'

/** The owner of entries that were given back: nobody's consumer has this name. */
export const RELEASED = '-released'

export interface Keys {
  /** HASH: format, keyed, partitions, groups, and what is counted. */
  readonly meta: string
  /** STREAM: all groups read it. */
  stream(partition: number): string
  /** STREAM: what comes to one group alone. */
  retry(group: string, partition: number): string
  /** ZSET by time: what goes to `retry` later. */
  due(group: string): string
  /** STREAM: dead letters. */
  dead(group: string): string
  /** ZSET by expiry: members of a keyed channel's group. */
  members(group: string): string
  /** HASH: which member owns a lane, and until when. */
  lanes(group: string): string
  /** HASH: headers given with a release. */
  notes(group: string): string
}

export function keysOf(
  namespace: string | undefined,
  channel: string,
  keyed: boolean,
  options: RedisChannelOptions = {},
): Keys {
  const name = options.stream ?? (namespace === undefined ? channel : `${namespace}:${channel}`)
  const tag = /\{[^}]+\}/.exec(name)?.[0]
  const base = tag === undefined ? `{${name}}` : `${tag}:${channel}`
  return {
    meta: `${base}:meta`,
    stream: (partition) => (keyed ? `${base}:${partition}` : name),
    retry: (group, partition) => `${base}:${group}:retry:${partition}`,
    due: (group) => `${base}:${group}:due`,
    dead: (group) => `${base}:${group}:dead`,
    members: (group) => `${base}:${group}:members`,
    lanes: (group) => `${base}:${group}:lanes`,
    notes: (group) => `${base}:${group}:notes`,
  }
}
