import type { ChannelSpec, TopologyChange, TopologyFacet } from '@polybus/core'
import type { Broker, Channel } from './state.ts'
import { createGroup } from './groups.ts'
import { createChannel } from './log.ts'

/** What `apply` needs to know; it survives being written down as JSON. */
interface Change extends TopologyChange {
  readonly channel: Pick<ChannelSpec, 'name' | 'keyed' | 'partitions'>
  readonly group?: string
}

export interface Names {
  readonly broker: Broker
  find(channel: string): Channel | undefined
  /** The broker's own name of a channel: the namespace before it. */
  native(channel: string): string
}

type Plan = Awaited<ReturnType<TopologyFacet['plan']>>

export function plan({ find }: Names, specs: readonly ChannelSpec[]): Plan {
  const changes: Change[] = []
  const conflicts: TopologyChange[] = []
  for (const { name, keyed, partitions, groups } of specs) {
    const channel = find(name)
    const wanted = { name, keyed, partitions }
    if (!channel) changes.push({ kind: 'create-channel', name, text: `create the channel '${name}'`, channel: wanted })
    for (const group of groups) {
      if (channel?.groups.has(group)) continue
      const text = `create the group '${group}' of the channel '${name}'`
      changes.push({ kind: 'create-group', name: `${name}/${group}`, text, channel: wanted, group })
    }
    if (channel) conflicts.push(...conflictsOf(channel, wanted))
  }
  return { changes, conflicts }
}

export function conflictsOf(channel: Channel, { name, keyed, partitions }: Change['channel']): TopologyChange[] {
  const found: TopologyChange[] = []
  const has = channel.partitions.length
  if (channel.keyed !== keyed)
    found.push({
      kind: 'keyed',
      name,
      text: `the channel '${name}' was created ${channel.keyed ? 'with' : 'without'} keys`,
    })
  if (partitions !== undefined && partitions !== has)
    found.push({ kind: 'partitions', name, text: `the channel '${name}' has ${has} partitions, not ${partitions}` })
  return found
}

export function apply({ broker, find, native }: Names, changes: readonly TopologyChange[]): void {
  for (const change of changes as readonly Change[]) {
    let channel = find(change.channel.name)
    if (!channel) {
      channel = createChannel(broker, change.channel)
      broker.channels.set(native(change.channel.name), channel)
    }
    if (change.group === undefined) continue
    channel.declared.add(change.group)
    // Before any consumer runs, and with all that is there: what was published must not be missed.
    if (!channel.groups.has(change.group)) createGroup(broker, channel, change.group, 'beginning')
  }
}
