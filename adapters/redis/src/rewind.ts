import { type Call, invalid, type RewindTarget } from '@polybus/core'
import { command, type Link, script } from './connection.ts'
import type { Layout } from './layout.ts'
import { parsePosition } from './mapping.ts'

const MAX_SEQ = '18446744073709551615'

/**
 * Moves a group within what is kept. A position moves its own partition alone; all other targets move all of them. Retries
 * that the group already queued stay. Time is the server's, of writing.
 */
export async function rewind(link: Link, layout: Layout, group: string, to: RewindTarget, call: Call): Promise<void> {
  const { keys, partitions } = layout
  const moves: [key: string, id: string][] = []
  if (to.kind === 'position') {
    const place = parsePosition(to.position)
    if (!place || place.partition >= partitions)
      throw invalid('rewind', `'${to.position}' is no position of the channel '${layout.channel}'.`)
    moves.push([keys.stream(place.partition), before(place.id)])
  } else {
    const id =
      to.kind === 'beginning' ? '0' : to.kind === 'end' ? '$' : `${Math.max(0, Math.floor(to.time) - 1)}-${MAX_SEQ}`
    for (let partition = 0; partition < partitions; partition++) moves.push([keys.stream(partition), id])
  }
  await link.call(
    script('rewind', [keys.meta, ...moves.map(([key]) => key)], group, ...moves.map(([, id]) => id)),
    call,
  )
}

/** The greatest id below one: a group reads what is after its place. */
function before(id: string): string {
  const [ms = '0', seq = '0'] = id.split('-')
  if (BigInt(seq) > 0n) return `${ms}-${BigInt(seq) - 1n}`
  return BigInt(ms) > 0n ? `${BigInt(ms) - 1n}-${MAX_SEQ}` : '0-0'
}

export const groupsOf = (layout: Layout): ReturnType<typeof command> => command('HKEYS', [layout.keys.meta])
