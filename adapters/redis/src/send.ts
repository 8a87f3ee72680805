import { type Call, type Destination, type Outgoing, PolybusError, type Receipt, type Result } from '@polybus/core'
import { command, type Command, type Link, type Reply, script } from './connection.ts'
import { missing, notAttempted } from './errors.ts'
import { isBare } from './fields.ts'
import { toForeign } from './foreign.ts'
import type { Layout, Layouts } from './layout.ts'
import { partitionOf, toFields } from './mapping.ts'

/** Scripts cannot hand over more than some 8,000 values, and a message should be able to wait for its retry. */
export const MAX_HEADERS = 3000

/**
 * One pipeline, one result an entry. Entries of keyed channels go in one transaction: what refuses one refuses the later
 * ones of its stream too, so that no entry is written behind a failed one of its key.
 */
export async function sendAll(
  link: Link,
  layouts: Layouts,
  batch: readonly Outgoing[],
  call: Call,
): Promise<readonly Result<Receipt>[]> {
  const results: (Result<Receipt> | undefined)[] = []
  const commands: Command[] = []
  const places: { readonly index: number; readonly partition: number; readonly outgoing: Outgoing }[] = []
  let atomic = false
  /** Keys of which an entry was refused before it was sent. */
  const held = new Set<string>()
  for (const [index, outgoing] of batch.entries()) {
    try {
      const layout = layouts.known(outgoing.to.channel) ?? (await layouts.find(link, outgoing.to.channel, call.signal))
      if (layout.keyed && held.has(keyOf(outgoing))) throw notAttempted()
      const { ask, partition } = commandOf(outgoing, layout)
      commands.push(ask)
      places.push({ index, partition, outgoing })
      atomic ||= layout.keyed
    } catch (error) {
      if (!PolybusError.is(error) || error.code === 'CONNECTION_FAILED' || error.code === 'ABORTED') throw error
      results[index] = { ok: false, error }
      if (outgoing.message.key !== undefined) held.add(keyOf(outgoing))
    }
  }
  if (commands.length > 0) {
    const replies = await link.batch(commands, { signal: call.signal, atomic })
    for (const [at, { index, partition, outgoing }] of places.entries())
      results[index] = resultOf(replies[at] as Reply, outgoing.to, partition, layouts.mayCreate)
  }
  return results.map((result) => result ?? { ok: false, error: new PolybusError('PUBLISH_UNCERTAIN') })
}

const keyOf = ({ to, message }: Outgoing): string => `${to.channel}/${message.key ?? ''}`

function commandOf(
  { message, to, groups }: Outgoing,
  { keyed, partitions, keys, options }: Layout,
): { ask: Command; partition: number } {
  if (groups !== undefined)
    throw new PolybusError('UNSUPPORTED', 'Redis reaches all groups of a channel, or one.', { sent: 'no' })
  const large = message.headers.length > MAX_HEADERS
  // A foreign message that came in with more is still replayed.
  if (large && to.kind === 'channel')
    throw new PolybusError('BROKER_REFUSED', `A message may have ${MAX_HEADERS} headers here.`, { sent: 'no' })
  const fields = to.kind === 'channel' && isBare(options) ? toForeign(message, options) : toFields(message)
  // What has no key may go anywhere, but always to the same place.
  const partition = keyed ? partitionOf(message.key ?? message.id ?? '', partitions) : 0
  // Without NOMKSTREAM a stream that was deleted would come back without its groups, and nobody would notice.
  const add = (key: string): Command => command('XADD', [key], 'NOMKSTREAM', '*', ...fields)
  switch (to.kind) {
    case 'channel':
      return { ask: add(keys.stream(partition)), partition }
    case 'dead-letter':
      return { ask: command('XADD', [keys.dead(to.group)], '*', ...fields), partition }
    case 'group':
      return to.delayMs > 0 && !large
        ? {
            ask: script('later', [keys.due(to.group), keys.meta], Math.ceil(to.delayMs), partition, ...fields),
            partition,
          }
        : { ask: add(keys.retry(to.group, partition)), partition }
  }
}

function resultOf(reply: Reply, to: Destination, partition: number, mayCreate: boolean): Result<Receipt> {
  if (!reply.ok) return reply
  if (reply.value === null)
    return {
      ok: false,
      error: missing(
        to.kind === 'channel' ? `stream for the channel '${to.channel}'` : `group for the channel '${to.channel}'`,
        mayCreate,
      ),
    }
  if (to.kind !== 'channel') return { ok: true, value: {} }
  return { ok: true, value: { position: `${partition}/${(reply.value as Buffer).toString()}` } }
}
