// What dead letters mean for the messages that are parked behind them.
import type { ParkedKey } from '../api.ts'
import { messageIdOf, sendHead } from '../consume/parked.ts'
import { readProgress } from '../consume/progress.ts'
import { PolybusError } from '../errors.ts'
import { groupPrefix, lineOf, type Parking, unescapeText } from '../idempotency.ts'
import type { WireMessage } from '../message.ts'

export interface LinesOptions {
  readonly channel: string
  readonly group: string
  readonly parking: () => Parking | undefined
  /** To the group alone; resolves when the broker has it. */
  readonly send: (message: WireMessage) => Promise<void>
}

export interface Lines {
  /** This letter is discarded: the next message of its key goes on, if it was waiting for this one. */
  pass(letter: WireMessage): Promise<void>
  list(signal: AbortSignal): AsyncGenerator<ParkedKey>
  unpark(key: string, head: 'replay' | 'discard'): Promise<boolean>
}

const PAGE = 100

export function createLines({ channel, group, parking, send }: LinesOptions): Lines {
  const store = (): Parking => {
    const found = parking()
    if (!found)
      throw new PolybusError(
        'UNSUPPORTED',
        `Messages of '${channel}/${group}' may be parked behind this, in a store that is not known here. Start the group's consumer on this bus, or give its store: bus.deadLetters(channel, group, { store }).`,
      )
    return found
  }
  const pass = async (line: string, id: string): Promise<void> => {
    const next = await store().advance(line, id)
    if (next) await sendHead(store(), line, next, send)
  }

  return {
    async pass(letter) {
      const { line: id } = readProgress(letter)
      if (id !== undefined && letter.key !== undefined) await pass(lineOf(channel, group, letter.key), id)
    },
    async *list(signal) {
      const prefix = groupPrefix(channel, group)
      let after: string | undefined
      for (;;) {
        if (signal.aborted) throw new PolybusError('ABORTED', undefined, { cause: signal.reason })
        const page = await store().list(prefix, after, PAGE)
        for (const { line, head, state, waiting } of page)
          yield { key: unescapeText(line.slice(prefix.length)), head: messageIdOf(head), state, waiting }
        after = page.at(-1)?.line
        if (after === undefined) return
      }
    },
    async unpark(key, how) {
      const line = lineOf(channel, group, key)
      const head = await store().head(line)
      if (!head) return false
      if (how === 'discard') await pass(line, head.id)
      else await sendHead(store(), line, head, send)
      return true
    },
  }
}

/** Of a letter that others wait behind: under another key they would wait for ever. */
export function refuseOtherKey(letter: WireMessage, edited: WireMessage): void {
  if (readProgress(letter).line === undefined || edited.key === letter.key) return
  throw new PolybusError(
    'INVALID_MESSAGE',
    'The edit changes the key of a message that others of its key wait for. Discard it, and publish the new one instead.',
  )
}
