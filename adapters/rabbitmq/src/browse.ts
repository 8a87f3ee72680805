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
/** A channel sends a quorum queue no more than 32 commands that were not answered, and keeps the rest to itself. */
const ACKS_AT_ONCE = 16

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
  /** Taken while something else was waited for, and not shown yet. */
  const ahead: RawDeadLetter[] = []
  const take = async (by: Call): Promise<RawDeadLetter | undefined> => {
    const message = await link.ask(() => atWork().get(queue), by)
    if (message === false) return undefined
    const position = String(message.fields.deliveryTag)
    held.set(position, message)
    return { position, message: fromNative(message, layout.options) }
  }
  /**
   * An ack has no answer of its own, and a channel that closes drops those that a quorum queue has not taken yet. A get is answered by the
   * queue itself, after all that was said to it before.
   */
  const settled = async (by: Call): Promise<void> => {
    const letter = await take(by)
    if (letter) ahead.push(letter)
  }
  return {
    async next(limit, by) {
      const found = ahead.splice(0, limit)
      while (found.length < limit && held.size < MOST && !by.signal.aborted) {
        const letter = await take(by)
        if (!letter) break
        found.push(letter)
      }
      return found
    },
    async remove(positions, by) {
      const results: Result<void>[] = []
      let pending = 0
      for (const position of positions) {
        const message = held.get(position)
        if (!message) {
          const error = new PolybusError('DEAD_LETTER_NOT_FOUND', `No dead letter is at ${position}.`)
          results.push({ ok: false, error })
          continue
        }
        try {
          atWork().ack(message)
          held.delete(position)
          results.push(OK)
          pending++
        } catch (error) {
          results.push({ ok: false, error: rabbitError(error) })
        }
        if (pending === ACKS_AT_ONCE) {
          await settled(by)
          pending = 0
        }
      }
      if (pending > 0) await settled(by)
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
