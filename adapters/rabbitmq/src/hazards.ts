import type { ChannelSpec, Hazard } from '@polybus/core'
import type { Settings } from './options.ts'

/** What can be seen without the management API. */
export function readHazards(settings: Settings, spec: ChannelSpec, mayCreate: boolean): readonly Hazard[] {
  const hazards: Hazard[] = []
  const { groups = {} } = settings.channels.get(spec.name) ?? {}
  for (const [group, queue] of Object.entries(groups)) {
    const kept = queue.arguments ?? {}
    if (kept['x-queue-type'] === 'classic')
      hazards.push({
        kind: 'replication',
        text: `The group '${group}' of '${spec.name}' uses a classic queue: it lies on one node, and is lost with its disk.`,
      })
    for (const name of ['x-message-ttl', 'x-expires', 'x-max-length', 'x-max-length-bytes'])
      if (kept[name] !== undefined && kept['x-overflow'] !== 'reject-publish')
        hazards.push({
          kind: 'retention',
          text: `The queue of the group '${group}' of '${spec.name}' has ${name}: it drops messages that nobody handled.`,
        })
  }
  if (!mayCreate && spec.groups.length > 1)
    hazards.push({
      kind: 'bindings',
      text: `Topology is not ours to create, and AMQP does not show bindings: that every group of '${spec.name}' is bound cannot be checked.`,
    })
  return hazards
}
