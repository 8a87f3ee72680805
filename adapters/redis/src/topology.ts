import type { Call, ChannelSpec, TopologyChange, TopologyFacet } from '@polybus/core'
import { command, type Command, type Link, type Reply } from './connection.ts'
import { asRecorded, declare, type Layout, type Layouts, readRecord, recordOf } from './layout.ts'

/** What `apply` needs to know; it survives being written down as JSON. */
interface Change extends TopologyChange {
  readonly channel: Pick<ChannelSpec, 'name' | 'keyed' | 'partitions'>
  readonly group?: string
}

type Plan = Awaited<ReturnType<TopologyFacet['plan']>>

export async function plan(link: Link, layouts: Layouts, specs: readonly ChannelSpec[], call: Call): Promise<Plan> {
  const wanted = specs.map((spec) => layouts.wanted(spec))
  const records = await link.batch(wanted.map(recordOf), call)
  const changes: Change[] = []
  const conflicts: TopologyChange[] = []
  for (const [index, spec] of specs.entries()) {
    const layout = wanted[index] as Layout
    const reply = records[index] as Reply
    if (!reply.ok) {
      if (reply.error.code !== 'TOPOLOGY_CONFLICT') throw reply.error
      conflicts.push({ kind: 'type', name: layout.keys.meta, text: lower(reply.error.message) })
      continue
    }
    const recorded = readRecord(reply.value, layout.keys.meta)
    const found = recorded ? conflictsOf(layout, recorded, spec.partitions) : []
    conflicts.push(...found)
    if (found.length > 0) continue
    const here = layouts.learn(asRecorded(layout, recorded))
    const looked = await look(link, here, spec.groups, call)
    conflicts.push(...looked.conflicts)
    const channel = { name: spec.name, keyed: spec.keyed, partitions: here.partitions }
    if (!recorded || looked.missing.has(undefined))
      changes.push({
        kind: 'create-channel',
        name: spec.name,
        text: `create the channel '${spec.name}': ${streams(here)}`,
        channel,
      })
    for (const group of spec.groups)
      if (looked.missing.has(group))
        changes.push({
          kind: 'create-group',
          name: `${spec.name}/${group}`,
          text: `create the group '${group}' of the channel '${spec.name}'`,
          channel,
          group,
        })
  }
  return { changes, conflicts }
}

export async function apply(
  link: Link,
  layouts: Layouts,
  changes: readonly TopologyChange[],
  call: Call,
): Promise<void> {
  for (const { channel, group } of changes as readonly Change[]) {
    const layout = layouts.wanted(channel)
    // With all that is there: what was published before it must not be missed.
    await declare(link, layout, group, '0', call.signal)
    layouts.learn(layout)
  }
}

function conflictsOf(
  { channel, keyed }: Layout,
  has: { keyed: boolean; partitions: number },
  asked?: number,
): TopologyChange[] {
  if (has.keyed !== keyed)
    return [
      {
        kind: 'keyed',
        name: channel,
        text: `the channel '${channel}' was created ${has.keyed ? 'with' : 'without'} keys`,
      },
    ]
  if (keyed && asked !== undefined && asked !== has.partitions)
    return [
      {
        kind: 'partitions',
        name: channel,
        text: `the channel '${channel}' has ${has.partitions} partitions, not ${asked}`,
      },
    ]
  return []
}

/** What is not there, and what is there of another type. `undefined` stands for the channel itself. */
async function look(
  link: Link,
  { partitions, keys }: Layout,
  groups: readonly string[],
  call: Call,
): Promise<{ missing: ReadonlySet<string | undefined>; conflicts: readonly TopologyChange[] }> {
  const asked: { readonly of: string | undefined; readonly ask: Command }[] = []
  for (let partition = 0; partition < partitions; partition++) {
    asked.push({ of: undefined, ask: xinfo(keys.stream(partition)) })
    for (const group of groups) asked.push({ of: group, ask: xinfo(keys.retry(group, partition)) })
  }
  for (const group of groups) {
    asked.push({ of: group, ask: command('XLEN', [keys.dead(group)]) })
    asked.push({ of: group, ask: command('ZCARD', [keys.due(group)]) })
  }
  const replies = await link.batch(
    asked.map(({ ask }) => ask),
    call,
  )
  const missing = new Set<string | undefined>()
  const conflicts: TopologyChange[] = []
  for (const [index, reply] of replies.entries()) {
    const { of, ask } = asked[index] as (typeof asked)[number]
    const key = ask.keys[0] ?? ''
    if (!reply.ok) {
      if (reply.error.code === 'TOPOLOGY_CONFLICT')
        conflicts.push({
          kind: 'type',
          name: key,
          text: `the key '${key}' has another type than Polybus needs: look with TYPE, and rename or delete it`,
        })
      else if (reply.error.code === 'TOPOLOGY_MISSING') missing.add(of)
      else throw reply.error
      continue
    }
    if (ask.args[0] !== 'XINFO') continue
    const there = groupNames(reply.value)
    for (const group of of === undefined ? groups : [of]) if (!there.has(group)) missing.add(group)
  }
  return { missing, conflicts }
}

const xinfo = (key: string): Command => ({ args: ['XINFO', 'GROUPS', key], keys: [key] })

/** Names in an answer of XINFO GROUPS. */
export function groupNames(reply: unknown): ReadonlySet<string> {
  const names = (reply as readonly (readonly unknown[])[]).map((flat) => String(flat[1 + flat.findIndex(isName)]))
  return new Set(names)
}
const isName = (field: unknown, index: number): boolean => index % 2 === 0 && String(field) === 'name'

const streams = ({ partitions, keys }: Layout): string =>
  partitions === 1 ? `the stream '${keys.stream(0)}'` : `${partitions} streams from '${keys.stream(0)}'`
const lower = (text: string): string => text.replace(/\.$/, '')
