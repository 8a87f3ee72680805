// A queue has no cursor: a session takes what it shows, holds it, and gives it back by closing its channel.
import type { Channel, GetMessage } from 'amqplib'
import { type BrowseSession, type Call, PolybusError, type RawDeadLetter, type Result } from '@polybus/core'
import { closeChannel, type Link } from './connection.ts'
import { rabbitError } from './errors.ts'
import type { Layout } from './layout.ts'
import { fromNative } from './mapping.ts'
import { unknownGroup } from './stats.ts'

const OK: Result<void> = { ok: true, value: undefined }
/** So many are held at most, by one look. */
const MOST = 10_000

export async function openSession(link: Link, layout: Layout, group: string, call: Call): Promise<BrowseSession> {
  const queue = layout.dead(group)
  const channel = await link.channel()
  try {
    await link.ask(() => channel.checkQueue(queue), call)
  } catch (error) {
    closeChannel(channel)
    throw PolybusError.is(error, 'TOPOLOGY_MISSING') ? unknownGroup(layout, group, error) : error
  }
  const held = new Map<string, GetMessage>()
  let open = true
  channel.on('close', () => (open = false))
  const atWork = (): Channel => {
    if (open) return channel
    throw link.dead ?? new PolybusError('CLOSED', 'This look at dead letters is closed.')
  }
  return {
    async next(limit, by) {
      const found: RawDeadLetter[] = []
      while (found.length < limit && held.size < MOST && !by.signal.aborted) {
        const message = await link.ask(() => atWork().get(queue), by)
        if (message === false) break
        const position = String(message.fields.deliveryTag)
        held.set(position, message)
        found.push({ position, message: fromNative(message, layout.options) })
      }
      return found
    },
    async remove(positions, by) {
      const results = positions.map((position): Result<void> => {
        const message = held.get(position)
        if (!message)
          return { ok: false, error: new PolybusError('DEAD_LETTER_NOT_FOUND', `No dead letter is at ${position}.`) }
        try {
          atWork().ack(message)
          held.delete(position)
          return OK
        } catch (error) {
          return { ok: false, error: rabbitError(error) }
        }
      })
      // An ack has no answer of its own: one to what comes behind it says that it has arrived.
      await link.ask(() => atWork().prefetch(0), by)
      return results
    },
    async close() {
      if (!open) return
      open = false
      // One by one, in their order: closing alone gives more than 32 back in any order.
      for (const message of held.values()) channel.nack(message, false, true)
      await link.ask(() => channel.close())
    },
  }
}
