import type { Call, Stats } from '@polybus/core'
import { type Link, script } from './connection.ts'
import { missing } from './errors.ts'
import { type Layout, streamsOf } from './layout.ts'
import { RELEASED } from './names.ts'

type Numbers = readonly [backlog: number, inFlight: number, oldestAgeMs: number, deadLetters: number]

async function ask(
  link: Link,
  { keys }: Layout,
  group: string,
  streams: readonly string[],
  call: Call,
): Promise<Numbers> {
  const answer = await link.call(
    script('stats', [keys.due(group), keys.dead(group), ...streams], group, RELEASED),
    call,
  )
  if (answer === null) throw missing(`group '${group}' on '${streams[0] ?? ''}'`, true)
  return answer as Numbers
}

/**
 * `backlog` is what could be delivered now: unread, given back and due, not what waits for its delay. `oldestAgeMs` is the age
 * of the oldest message of both backlog and flight, by the server's clock.
 */
export async function readStats(link: Link, layout: Layout, group: string, call: Call): Promise<Stats> {
  const [backlog, inFlight, oldestAgeMs, deadLetters] = await ask(link, layout, group, streamsOf(layout, group), call)
  return { backlog: backlog < 0 ? null : backlog, inFlight, oldestAgeMs, deadLetters }
}

/** Of these lanes alone. */
export async function backlogOf(
  link: Link,
  layout: Layout,
  group: string,
  lanes: readonly number[],
  call: Call,
): Promise<number | null> {
  if (lanes.length === 0) return 0
  const streams = lanes.flatMap((lane) => [layout.keys.retry(group, lane), layout.keys.stream(lane)])
  const [backlog] = await ask(link, layout, group, streams, call)
  return backlog < 0 ? null : backlog
}
