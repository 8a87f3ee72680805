// Which of those that may be killing their process goes first.
import { createHash } from 'node:crypto'
import type { Delivery } from '../adapter.ts'

/**
 * The lowest goes first. All in hand are counted when the process dies, and the only thing that a process knows of those before
 * it is that count. So the order is turned round from one count to the next: of what came back with the one that kills, each
 * goes before it within two processes. Every second count the order is a new one, for where two of them kill, one stands
 * between them whichever way round.
 */
export function suspectPlace({ message, position, count }: Delivery): number {
  const hands = count ?? 0
  const hash = createHash('sha256')
    .update(`${hands >> 1}:${message.id ?? position}`)
    .digest()
    .readInt32BE()
  return hands % 2 === 0 ? hash : -hash
}
