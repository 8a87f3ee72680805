// How channels lie on the server. It is recorded there, so that all processes put a key into the same stream.
import { type ChannelSpec, PolybusError } from '@polybus/core'
import { command, type Link, script } from './connection.ts'
import { missing } from './errors.ts'
import { type Keys, keysOf } from './names.ts'
import type { RedisChannelOptions, Settings } from './options.ts'

/** As many as a channel may name. */
const MAX_PARTITIONS = 1024

export interface Layout {
  readonly channel: string
  readonly keyed: boolean
  readonly partitions: number
  readonly keys: Keys
  readonly options: RedisChannelOptions
}

/** What is written at the server; undefined where nothing is. */
export interface Recorded {
  readonly keyed: boolean
  readonly partitions: number
}

export interface Layouts {
  readonly mayCreate: boolean
  /** As it would be made. */
  wanted(spec: Pick<ChannelSpec, 'name' | 'keyed' | 'partitions'>): Layout
  /** As the server has it, for a channel that is known by its name alone. */
  find(link: Link, channel: string, signal: AbortSignal): Promise<Layout>
  known(channel: string): Layout | undefined
  learn(layout: Layout): Layout
}

export function createLayouts(settings: Settings, namespace: string | undefined, mayCreate: boolean): Layouts {
  const byName = new Map<string, Layout>()
  const layout = (channel: string, keyed: boolean, partitions: number): Layout => ({
    channel,
    keyed,
    partitions,
    keys: keysOf(namespace, channel, keyed, settings.channels.get(channel)),
    options: settings.channels.get(channel) ?? {},
  })
  return {
    mayCreate,
    wanted: ({ name, keyed, partitions }) => layout(name, keyed, keyed ? (partitions ?? settings.partitions) : 1),
    known: (channel) => byName.get(channel),
    learn(found) {
      byName.set(found.channel, found)
      return found
    },
    async find(link, channel, signal) {
      const known = byName.get(channel)
      if (known) return known
      const ask = recordOf(layout(channel, false, 1))
      const recorded = readRecord(await link.call(ask, { signal }), ask.keys[0] ?? '')
      if (!recorded) throw missing(`channel '${channel}'`, mayCreate)
      const found = layout(channel, recorded.keyed, recorded.partitions)
      byName.set(channel, found)
      return found
    },
  }
}

export const recordOf = ({ keys }: Layout): ReturnType<typeof command> =>
  command('HMGET', [keys.meta], 'keyed', 'partitions')

/** @param meta the key that it comes from. @throws {PolybusError} `TOPOLOGY_CONFLICT` where it is no record of ours. */
export function readRecord(reply: unknown, meta: string): Recorded | undefined {
  const [keyed, partitions] = (reply as readonly (Buffer | null)[]).map((value) => value?.toString())
  if (keyed === undefined || partitions === undefined) return undefined
  const count = Number(partitions)
  if (!Number.isInteger(count) || count < 1 || count > MAX_PARTITIONS || (keyed !== '0' && keyed !== '1'))
    throw new PolybusError(
      'TOPOLOGY_CONFLICT',
      `The hash '${meta}' is no record of a channel: keyed is '${keyed}', expected 0 or 1; partitions is '${partitions}', expected 1 to ${MAX_PARTITIONS}.`,
      { sent: 'no' },
    )
  return { keyed: keyed === '1', partitions: count }
}

/** The one that is there counts, with the partitions that it has. */
export const asRecorded = (layout: Layout, recorded: Recorded | undefined): Layout =>
  recorded && recorded.keyed === layout.keyed ? { ...layout, partitions: recorded.partitions } : layout

/** Makes what is missing of a channel, and of one group. */
export async function declare(
  link: Link,
  { channel, keyed, partitions, keys }: Layout,
  group: string | undefined,
  start: '0' | '$',
  signal: AbortSignal,
): Promise<void> {
  const all = Array.from({ length: partitions }, (_, partition) => partition)
  const main = all.map((partition) => keys.stream(partition))
  const retry = group === undefined ? [] : all.map((partition) => keys.retry(group, partition))
  const answer = await link.call(
    script('declare', [keys.meta, ...main, ...retry], keyed ? '1' : '0', partitions, group ?? '', start),
    { signal },
  )
  if (!Array.isArray(answer)) return
  const has = readRecord(answer, keys.meta)
  throw new PolybusError(
    'TOPOLOGY_CONFLICT',
    `The channel '${channel}' was created ${has?.keyed ? 'with' : 'without'} keys and with ${has?.partitions} partitions; ` +
      `that is recorded in '${keys.meta}'.`,
  )
}

export const streamsOf = ({ partitions, keys }: Layout, group: string): readonly string[] =>
  Array.from({ length: partitions }, (_, partition) => [keys.retry(group, partition), keys.stream(partition)]).flat()
