import { type Call, type ChannelSpec, type Hazard } from '@polybus/core'
import type { Link } from './connection.ts'
import type { Layout } from './layout.ts'
import { look, RETENTION_SECONDS } from './topology.ts'

/** What the attributes of a channel's queues say. */
export async function readHazards(
  link: Link,
  layout: Layout,
  { groups }: ChannelSpec,
  call: Call,
): Promise<readonly Hazard[]> {
  const hazards: Hazard[] = []
  const one = async (group: string): Promise<void> => {
    const queues = [layout.queue(group), layout.dead(group)]
    const found = await Promise.all(queues.map((queue) => look(link, queue, call)))
    for (const [index, attributes] of found.entries()) {
      const seconds = Number(attributes?.MessageRetentionPeriod ?? RETENTION_SECONDS)
      const name = queues[index]?.name ?? ''
      if (seconds < RETENTION_SECONDS)
        hazards.push({
          kind: `retention ${name}`,
          text: `The queue '${name}' drops what is older than ${seconds} s; SQS would keep it for ${RETENTION_SECONDS} s (MessageRetentionPeriod).`,
        })
    }
    const policy = maxReceiveCountOf(found[0]?.RedrivePolicy)
    if (policy !== undefined && policy < link.settings.maxReceiveCount)
      hazards.push({
        kind: `redrive ${group}`,
        text: `The redrive policy of '${queues[0]?.name ?? ''}' moves a message after ${policy} receives, whether its attempts are used up or not: what is given back unrun counts too. Set its maxReceiveCount to ${link.settings.maxReceiveCount}.`,
      })
  }
  await Promise.all(groups.map(one))
  const { acceptedHazards } = link.settings
  const reported = hazards.filter(({ kind }) => !acceptedHazards.some((accepted) => kind.startsWith(accepted)))
  return reported.toSorted((a, b) => (a.kind < b.kind ? -1 : 1))
}

function maxReceiveCountOf(policy: string | undefined): number | undefined {
  if (policy === undefined || policy === '') return undefined
  try {
    const { maxReceiveCount } = JSON.parse(policy) as { maxReceiveCount?: number | string }
    return maxReceiveCount === undefined ? undefined : Number(maxReceiveCount)
  } catch {
    return undefined
  }
}
