// Which channel is meant: the application's own definition, or one that is put together from its name and what the broker has.
import {
  type AnyChannel,
  type Bus,
  bytes,
  channel,
  type Consumer,
  describeError,
  type IdempotencyStore,
  type Inspection,
  nearest,
  trust,
} from '@polybus/core'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Given, type Io, UsageError } from './command.ts'

type Store = IdempotencyStore<unknown>

export interface Found {
  readonly channel: AnyChannel
  readonly inspection: Inspection
}

/** Of a channel that is known by its name alone: what an application would say in code. */
export interface Manner {
  readonly type?: string | undefined
  readonly key?: string | undefined
}

/**
 * The channel of that name, with these groups.
 *
 * @throws {UsageError} where the file has none of that name.
 */
export async function findChannel(
  bus: Bus,
  given: Given,
  io: Io,
  name: string,
  groups: readonly string[] | undefined,
  manner: Manner & { readonly keyed?: boolean } = {},
): Promise<Found> {
  const file = given.text('channels')
  if (file !== undefined) {
    for (const option of ['keyed', 'partitions'])
      if (given.text(option) !== undefined) throw new UsageError(`--${option}: --channels ${file} says it already.`)
    const own = pick((await definitionsOf(file, io.directory)).channels, name, file)
    const found = groups === undefined ? own : withGroups(own, groups)
    return { channel: found, inspection: await inspect(bus, found) }
  }
  const make = (keyed: boolean): AnyChannel =>
    channel(name, {
      schema: trust(),
      partitions: given.number('partitions'),
      groups: groups ?? [],
      type: manner.type ?? name,
      key: keyed ? () => manner.key : undefined,
    })
  if (given.flag('keyed')) return look(bus, make(true))
  const likely = manner.keyed ?? false
  const first = await look(bus, make(likely))
  if (count(first.inspection) === 0) return first
  const second = await look(bus, make(!likely))
  return count(second.inspection) < count(first.inspection) ? second : first
}

const look = async (bus: Bus, found: AnyChannel): Promise<Found> => ({
  channel: found,
  inspection: await inspect(bus, found),
})
const count = ({ conflicts, missing }: Inspection): number => conflicts.length * 1000 + missing.length

/** @throws {UsageError} where the broker ends with its process. */
async function inspect(bus: Bus, found: AnyChannel): Promise<Inspection> {
  const inspection = await bus.inspect(found)
  if (!inspection.capabilities.processes)
    throw new UsageError(
      'This broker lives inside one process, so nobody else can look into it. Say which one is meant: --broker URL, POLYBUS_BROKER, or polybus.config.* in this folder.',
    )
  return inspection
}

/** Refuses what is not there, or is there but different. */
export function mustBeThere(name: string, { inspection }: Found): void {
  const texts = (items: readonly { readonly text: string }[]): string => items.map(({ text }) => text).join('; ')
  const { conflicts, missing } = inspection
  if (conflicts.length > 0)
    throw new UsageError(
      `The channel '${name}' is there, but different: ${texts(conflicts)}. Say how it is, with --keyed and --partitions or --channels FILE.`,
    )
  if (missing.length > 0)
    throw new UsageError(
      `The broker lacks what this needs: ${texts(missing)}. Mind the spelling, --namespace and --channels; 'polybus topology apply' creates what is missing.`,
    )
}

/** The same channel, as far as these groups are concerned. */
const withGroups = (own: AnyChannel, groups: readonly string[]): AnyChannel => {
  const definition = own['~definition']
  return { ...own, groups, '~definition': { ...definition, spec: { ...definition.spec, groups } } }
}

/** The same channel with bodies as they are: whatever it holds is shown. */
export const withBytes = (own: AnyChannel): AnyChannel => ({
  ...own,
  '~definition': { ...own['~definition'], schema: trust(), codec: bytes, variants: false },
})

export interface Definitions {
  readonly channels: readonly AnyChannel[]
  readonly consumers: readonly Consumer[]
}

/** Channels among the exports of a module, and those of its consumers. */
export async function definitionsOf(file: string, directory: string): Promise<Definitions> {
  const path = resolve(directory, file)
  let module: Record<string, unknown>
  try {
    module = (await import(pathToFileURL(path).href)) as Record<string, unknown>
  } catch (error) {
    const { name, message } = describeError(error)
    throw new UsageError(`--channels ${file}: it cannot be loaded. ${name}: ${message}`)
  }
  const exported = Object.values(module)
  const consumers = exported.filter(isConsumer)
  const channels = [...new Set([...exported.filter(isChannel), ...consumers.map((one) => one.channel)])]
  if (channels.length === 0) throw new UsageError(`--channels ${file}: it exports no channel and no consumer.`)
  return { channels, consumers }
}

/** Where messages of the group are parked behind dead letters, if the application's consumer is among the exports. */
export async function storeOf(given: Given, io: Io, name: string, group: string): Promise<Store | undefined> {
  const file = given.text('channels')
  if (file === undefined) return undefined
  const { consumers } = await definitionsOf(file, io.directory)
  const own = consumers.find((one) => one.channel.name === name && one.group === group)
  return (own?.['~run'] as { store?: Store } | undefined)?.store
}

export function pick(channels: readonly AnyChannel[], name: string, file: string): AnyChannel {
  const found = channels.find((one) => one.name === name)
  if (found) return found
  const names = channels.map((one) => one.name)
  const near = nearest(name, names)
  throw new UsageError(
    `--channels ${file}: it has no channel '${name}'.${near === undefined ? '' : ` Did you mean '${near}'?`} It has ${names.join(', ')}.`,
  )
}

const isChannel = (value: unknown): value is AnyChannel =>
  typeof value === 'object' && value !== null && '~definition' in value
const isConsumer = (value: unknown): value is Consumer => typeof value === 'object' && value !== null && '~run' in value

/** `a,b` as a list; undefined where it was not given. */
export const groupsOf = (given: Given): readonly string[] | undefined =>
  given
    .text('groups')
    ?.split(',')
    .map((group) => group.trim())
    .filter((group) => group !== '')
