// A queue that is consumed on a channel of its own: closing it gives everything back at once, in order.
import { randomUUID } from 'node:crypto'
import type { Channel, ConsumeMessage } from 'amqplib'
import { type Chain, type Clock, createChain, joinChain, type Linked, type PolybusError, sleep } from '@polybus/core'
import { createAcks } from './acks.ts'
import type { Version } from './capabilities.ts'
import { closeChannel, type Link } from './connection.ts'
import { connectionFailed, feedBroken, rabbitError } from './errors.ts'
import { countOf } from './mapping.ts'

export interface Token extends Linked<Token> {
  readonly lane: Lane
  readonly message: ConsumeMessage
  readonly position: string
  readonly bytes: number
  live: boolean
  /** The copy of a move is confirmed: what remains is to finish here. */
  copied: boolean
}

export interface Lane {
  readonly id: number
  readonly queue: string
  readonly channel: Channel
  /** Fetched, and not handed over. */
  readonly buffer: ConsumeMessage[]
  /** Handed over, and neither settled nor lost. */
  readonly held: Chain<Token>
  /** A hand-over has begun: nothing is handed out any more. */
  leaving: boolean
  open: boolean
  /** When it was opened, or something was handed over. */
  heardAt: number
  /** So many unsettled messages come at most. */
  readonly prefetch: number
  /** Of all that was fetched, and is neither settled nor lost. */
  bytes: number
  token(message: ConsumeMessage): Token
  /** Told to the broker by `flush`. */
  ack(token: Token): void
  flush(): void
  /** Gives one back at once. Only where nobody waits for order. */
  giveBack(message: ConsumeMessage): void
  commit(): Promise<void>
  /** Fetches no more. On a lane with one active consumer it would hand the lane over while messages are held. */
  cancel(): Promise<void>
  close(): Promise<void>
}

/** AMQP's transactions, which amqplib does not show: class 90. */
const TX = { select: [5_898_250, 5_898_251], commit: [5_898_260, 5_898_261] } as const
const rpc = (channel: Channel, [method, answer]: readonly [number, number]): Promise<unknown> =>
  (channel as unknown as { rpc(method: number, fields: object, answer: number): Promise<unknown> }).rpc(
    method,
    {},
    answer,
  )

/**
 * Before 4.0 a server that deletes a quorum queue makes its consumers consume again by the queue's name, and cancels them only
 * where that fails. A queue that was made again meanwhile gets them, and then the channel forgets it: it counts a consumer, and
 * nothing arrives (rabbit_channel's handle_consuming_queue_down_or_eol). So it is not made again before they are told, which
 * takes some 30 ms.
 */
export const goneMs = ([major]: Version): number => (major >= 4 ? 0 : 500)
/** Others may make it again at any time. A lane that has been idle for so long is opened anew, where a server does that. */
export const IDLE_MS = 5000
/** Acks reach a quorum queue one write to disk later; a channel that closes earlier drops them. */
const TOLD_MS = 100

/**
 * What was handed over so often may be what kills processes. Where order does not matter it is then fetched one at a time: a
 * crash counts for all that was fetched, and the innocent would be stopped with the guilty.
 */
const SUSPECT = 3

/**
 * Twice as many are fetched where handlers are so fast that the way to the broker is what they wait for, and half as many where
 * they are not: what slow ones would only hoard stays with the broker, for other consumers. It is looked at after so many times
 * what is fetched: had it come within QUICK_MS, or took it longer than SLOW_MS.
 */
const SAMPLE = 2
const QUICK_MS = 100
const SLOW_MS = 400
/**
 * So many times the largest of a sample have to fit. Should they be larger after all, what finds no room is not kept: fewer are
 * fetched then, and the rest goes back.
 */
const MARGIN = 2

const bytesOf = ({ content }: ConsumeMessage): number => content.length + 200

export interface LaneOptions {
  readonly link: Link
  readonly clock: Clock
  /** Several consumers at a time, and no order. */
  readonly shared: boolean
  readonly id: number
  readonly queue: string
  /** So many would fit if each were as large as its channel allows. */
  readonly prefetch: number
  /** So many of smaller ones, where they fit. */
  readonly widest: number
  readonly maxBytes: number
  /** Acks have to be for good. */
  readonly durable: boolean
  /** There is something new. */
  readonly wake: () => void
  /** Closed by others; `gone`: the queue was deleted. */
  readonly onClosed: (lane: Lane, error: PolybusError, gone: boolean) => void
}

export async function openLane(options: LaneOptions): Promise<Lane> {
  const { link, clock, id, queue, prefetch, widest, maxBytes, durable, wake, onClosed } = options
  const channel = await link.channel()
  const name = randomUUID().slice(0, 8)
  const buffer: ConsumeMessage[] = []
  let cause: unknown
  const tags: string[] = []
  let fetching = true
  let ramped = !options.shared || prefetch === 1
  let fetches = prefetch
  /** Of the sample: how many came, the largest, and when it began. */
  let seen = 0
  let largest = 0
  let since = 0
  let changing = false
  /** Fewer are to be fetched; more may be on their way. */
  let narrowing = false
  /** Delivery tags of those that found no room. */
  let spilled: number[] = []
  let toldAt = -Infinity
  const acks = createAcks()
  let begun = false
  const over = (error: PolybusError, gone: boolean): void => {
    if (!lane.open) return
    lane.open = false
    buffer.length = 0
    if (begun) onClosed(lane, error, gone)
  }
  const lane: Lane = {
    id,
    queue,
    channel,
    buffer,
    held: createChain(),
    leaving: false,
    open: true,
    heardAt: clock.now(),
    bytes: 0,
    get prefetch() {
      return fetches
    },
    token(message) {
      const { deliveryTag } = message.fields
      const token: Token = {
        lane,
        message,
        // Unlike the tag alone it never comes again.
        position: `${queue}/${name}-${deliveryTag}`,
        bytes: bytesOf(message),
        live: true,
        copied: false,
        before: undefined,
        after: undefined,
      }
      joinChain(lane.held, token)
      return token
    },
    ack(token) {
      acks.finish(token.message.fields.deliveryTag)
      token.live = false
    },
    flush() {
      for (const { tag: deliveryTag, upTo } of acks.take()) {
        channel.ack({ fields: { deliveryTag } } as ConsumeMessage, upTo)
        toldAt = clock.now()
      }
    },
    giveBack: ({ fields }) => nack(fields.deliveryTag),
    commit: () => link.ask(() => rpc(channel, TX.commit)).then(() => undefined),
    async cancel() {
      fetching = false
      for (const tag of tags.splice(0)) await link.ask(() => channel.cancel(tag))
      unspill()
    },
    async close() {
      if (!lane.open) return
      lane.open = false
      buffer.length = 0
      try {
        lane.flush()
        // A cancel waits for all that was told; but with one active consumer it would hand the lane over before the rest is back.
        if (options.shared) await lane.cancel()
        else await sleep(clock, Math.max(0, toldAt + TOLD_MS - clock.now()))
        await link.ask(() => channel.close())
      } catch (error) {
        if (!link.dead) throw error
      }
    },
  }
  const arrived = (message: ConsumeMessage | null): void => {
    if (message === null) {
      // Nothing of this channel can be settled any more.
      over(feedBroken(`The queue '${queue}' was deleted, or its node went away.`), true)
      closeChannel(channel)
    } else if (lane.open) {
      const bytes = bytesOf(message)
      if ((fetches > prefetch || narrowing) && lane.bytes + bytes > maxBytes) {
        spilled.push(message.fields.deliveryTag)
        if (!changing) change(prefetch)
        return
      }
      lane.bytes += bytes
      buffer.push(message)
      wake()
      if (ramped) adapt(bytes)
      else if (countOf(message) < SUSPECT) {
        ramped = true
        change(prefetch)
      }
    }
  }
  /** Where order matters, the first consumer of a queue is its only one. */
  const adapt = (bytes: number): void => {
    if (!options.shared || widest <= prefetch || changing) return
    largest = Math.max(largest, bytes)
    if (++seen < SAMPLE * fetches) return
    const tookMs = clock.now() - since
    const wanted = tookMs < QUICK_MS ? fetches * 2 : tookMs > SLOW_MS ? Math.ceil(fetches / 2) : fetches
    const fitting = Math.floor(maxBytes / (largest * MARGIN))
    const next = Math.max(prefetch, Math.min(wanted, fitting, widest))
    if (next === fetches) sample()
    else change(next)
  }
  const sample = (): void => {
    since = clock.now()
    seen = largest = 0
  }
  const change = (count: number): void => {
    narrowing = count < fetches
    changing = true
    fetches = count
    sample()
    replace(count)
      // If it fails, the channel or the link is closed, and that is told.
      .catch(() => undefined)
      .finally(() => {
        changing = narrowing = false
        unspill()
      })
  }
  const nack = (deliveryTag: number): void => {
    acks.gone(deliveryTag)
    channel.nack({ fields: { deliveryTag } } as ConsumeMessage, false, true)
  }
  /** When no more are fetched than fit: else they would come again at once. */
  const unspill = (): void => {
    const tags = spilled
    spilled = []
    try {
      if (lane.open) for (const tag of tags) nack(tag)
    } catch {
      // The channel is closed: the server gives them back.
    }
  }
  const consume = async (count: number): Promise<void> => {
    await link.ask(() => channel.prefetch(count))
    if (!fetching) return
    const { consumerTag } = await link.ask(() => channel.consume(queue, arrived))
    if (fetching) tags.push(consumerTag)
    else await link.ask(() => channel.cancel(consumerTag))
  }
  /** A quorum queue's consumer keeps its prefetch. Another takes over; what the first one brought stays good. */
  const replace = async (count: number): Promise<void> => {
    await consume(count)
    const first = fetching ? tags.shift() : undefined
    if (first !== undefined) await link.ask(() => channel.cancel(first))
  }
  channel.on('error', (error) => (cause = error))
  channel.on('close', () =>
    over(
      link.dead ?? (cause === undefined ? connectionFailed('a channel was closed', 'unknown') : rabbitError(cause)),
      false,
    ),
  )
  try {
    if (durable) await link.ask(() => rpc(channel, TX.select))
    await consume(ramped ? prefetch : 1)
  } catch (error) {
    lane.open = false
    closeChannel(channel)
    throw error
  }
  begun = true
  return lane
}
