// Who shares a keyed group's lanes. Members tell each other by a fanout exchange; that a lane has one consumer at a time is
// the broker's word (single active consumer), so that a wrong picture here costs balance, never order.
import { randomUUID } from 'node:crypto'
import type { Channel } from 'amqplib'
import type { Clock, Timer } from '@polybus/core'
import { closeChannel, type Link } from './connection.ts'

interface Word {
  readonly name: string
  readonly kind: 'hello' | 'beat' | 'bye'
  readonly holds: readonly number[]
}

export interface Members {
  /** Names in order of joining, this one included. */
  names(): readonly string[]
  /** Whether another member says that it holds the lane. */
  heldByOther(lane: number): boolean
  /** Tells the others now. */
  tell(): void
  /** From now on the others share without this one. */
  leave(): void
  stop(): void
}

const JOIN_MS = 150

/** Resolves when the others had time to answer. */
export async function joinMembers(options: {
  readonly link: Link
  readonly clock: Clock
  readonly exchange: string
  readonly beatMs: number
  readonly holds: () => readonly number[]
  readonly onChange: () => void
}): Promise<{ readonly members: Members; readonly name: string }> {
  const { link, clock, exchange, beatMs, holds, onChange } = options
  // Sorted by when they joined, so that a newcomer moves as few lanes as can be.
  const name = `${Math.floor(clock.wall()).toString(36).padStart(9, '0')}-${randomUUID().slice(0, 8)}`
  const others = new Map<string, { at: number; holds: readonly number[] }>()
  let timer: Timer | undefined
  let over = false
  let left = false
  const ear: Channel = await link.channel()
  const mouth: Channel = await link.plainChannel()

  const say = (kind: Word['kind']): void => {
    // During an alarm nothing is read from this connection: beats would only pile up.
    if (link.dead || link.blocked !== undefined) return
    const word: Word = { name, kind, holds: holds() }
    try {
      mouth.publish(exchange, '', Buffer.from(JSON.stringify(word)), { expiration: beatMs * 4 })
    } catch {
      // The channel is closed; the link's end, or the next beat, tells.
    }
  }
  const hear = (text: string): void => {
    const word = parse(text)
    if (!word || word.name === name || over) return
    const known = others.has(word.name)
    if (word.kind === 'bye') others.delete(word.name)
    else others.set(word.name, { at: clock.now(), holds: word.holds })
    if (word.kind === 'hello' && !left) say('beat')
    if (known !== others.has(word.name)) onChange()
  }
  const beat = (): void => {
    if (over) return
    if (!left) say('beat')
    const before = others.size
    // When nothing can be heard, silence proves nothing.
    if (link.blocked === undefined)
      for (const [other, { at }] of others) if (clock.now() - at > beatMs * 4) others.delete(other)
    if (others.size !== before) onChange()
    timer = clock.timer(beatMs, beat)
  }
  const members: Members = {
    names: () => [...others.keys(), ...(left ? [] : [name])].toSorted(),
    heldByOther: (lane) => [...others.values()].some((other) => other.holds.includes(lane)),
    tell: () => {
      if (!left) say('beat')
    },
    leave() {
      if (left) return
      left = true
      say('bye')
    },
    stop() {
      if (over) return
      members.leave()
      over = true
      timer?.cancel()
      closeChannel(ear)
      closeChannel(mouth)
    },
  }
  try {
    const { queue } = await link.ask(() => ear.assertQueue('', { exclusive: true, autoDelete: true }))
    await link.ask(() => ear.bindQueue(queue, exchange, ''))
    await link.ask(() =>
      // Words are worth nothing when they are late: none is kept for an ack.
      ear.consume(queue, (message) => message && hear(message.content.toString()), { noAck: true, exclusive: true }),
    )
    say('hello')
    await new Promise<void>((resolve) => void clock.timer(JOIN_MS, resolve))
    timer = clock.timer(beatMs, beat)
  } catch (error) {
    members.stop()
    throw error
  }
  return { members, name }
}

function parse(text: string): Word | undefined {
  try {
    const word = JSON.parse(text) as Partial<Word>
    return typeof word.name === 'string' && Array.isArray(word.holds) ? (word as Word) : undefined
  } catch {
    return undefined
  }
}

/**
 * Lanes of each member: within one of evenly, and a newcomer takes them from those who have most. All members come to the
 * same answer from the same names.
 */
export function share(names: readonly string[], lanes: number): ReadonlyMap<string, readonly number[]> {
  const shares = new Map<string, number[]>()
  for (const name of names) {
    const mine: number[] = []
    shares.set(name, mine)
    if (shares.size === 1) for (let lane = 0; lane < lanes; lane++) mine.push(lane)
    else
      while (mine.length < Math.floor(lanes / shares.size)) {
        const richest = [...shares.values()].reduce((best, each) => (each.length > best.length ? each : best))
        mine.push(richest.pop() as number)
      }
  }
  return shares
}
