import type { Message } from '@aws-sdk/client-sqs'
import {
  type Call,
  createBell,
  type Delivery,
  type Feed,
  type PolybusError,
  type Result,
  type Source,
} from '@polybus/core'
import { MAX_HOLD_MS } from './capabilities.ts'
import { aborted, feedBroken, leaseLost } from './errors.ts'
import { createHeld, type Token } from './held.ts'
import type { Layout, Queue } from './layout.ts'
import { bytesOf, fromMessage } from './mapping.ts'
import { AGAIN_MS, createPolls } from './polls.ts'
import type { Session } from './session.ts'
import { createSettle } from './settle.ts'
import { createHands } from './hands.ts'
import { look } from './topology.ts'

/** How long a receive without room waits for some. */
const WAIT_MS = 1000
const NONE: readonly Delivery[] = []
const NEVER: Call = { signal: new AbortController().signal }

export interface FeedOptions {
  readonly session: Session
  readonly layout: Layout
  readonly queue: Queue
  readonly queueUrl: string
  readonly source: Source
  /** What a feed before held when its connection was lost. Shared with the adapter. */
  readonly orphans: Token[]
}

export async function createFeed(options: FeedOptions): Promise<Feed> {
  const { session, layout, queue, queueUrl, source, orphans } = options
  const { link } = session
  const { clock, settings } = link
  const fifo = layout.keyed
  const what = `queue '${queue.name}'`
  const hands = createHands(link, queueUrl, what, fifo)
  let arrived: { readonly token: Token; readonly delivery: Omit<Delivery, 'leaseMs'> }[] = []
  let broken: PolybusError | undefined
  let closing: Promise<void> | undefined
  let draining = false
  let count = 0
  /** Of the largest message lately: how many go into the room that is left. */
  let largest = 0
  /** Ends the wait of the receive that is under way. */
  const bell = createBell(clock)
  const nudge = bell.ring

  /** Its lease is over. The later ones of its lane go with it: whoever gets this one again comes before them. */
  const lose = (token: Token, toldUs = false): void => {
    const [, ...later] = held.suffix(token)
    const tokens = [token, ...later]
    for (const each of tokens) held.drop(each)
    source.onLost(toldUs ? later : tokens)
    if (later.length > 0 && !broken) giveBack(later)
    nudge()
  }
  const givingBack = new Set<Promise<unknown>>()
  /** What is not heard of again is given back by its lease. */
  const giveBack = (tokens: readonly Token[]): void => {
    const work = hands.release(tokens, NEVER).finally(() => givingBack.delete(work))
    givingBack.add(work)
  }
  const held = createHeld(clock, fifo, (token) => lose(token))
  const polls = createPolls({
    link,
    queueUrl,
    what,
    fifo,
    arrived: (messages, askedAt) => {
      for (const message of messages) accept(message, askedAt)
    },
    changed: () => nudge(),
  })
  const accept = (native: Message, askedAt: number): void => {
    const { MessageId: position = '', ReceiptHandle: handle = '', Attributes: system = {} } = native
    // Our lease had run out without our knowing, and it came back to us.
    const before = held.at(position)
    if (before) lose(before)
    const message = fromMessage(native, layout.options)
    const bytes = bytesOf({ MessageBody: native.Body ?? '', MessageAttributes: native.MessageAttributes ?? {} })
    largest = Math.max(bytes, largest * 0.9)
    const lane = system.MessageGroupId ?? ''
    const token: Token = {
      native,
      handle,
      position,
      lane: fifo ? lane : '',
      order: ++count,
      bytes,
      takenAt: askedAt,
      live: true,
      endsAt: askedAt + settings.visibilityMs,
      copied: false,
      dueAt: 0,
      duePrevious: undefined,
      dueNext: undefined,
      dueListed: false,
    }
    held.add(token)
    const received = Number(system.ApproximateReceiveCount)
    arrived.push({
      token,
      delivery: { message, token, lane: token.lane, position, count: Number.isFinite(received) ? received : null },
    })
  }

  /** Behind small messages may stand the largest of the channel: what one read brings stays within four times the room. */
  const most = Math.max(1, Math.floor((4 * source.maxBytes) / source.channel.maxBytes))
  const roomFor = (max: number): number => {
    const free = Math.min(max, most, source.maxInFlight - held.size)
    const inBytes = Math.floor((source.maxBytes - held.bytes) / Math.max(1, largest))
    return Math.min(free, held.size === 0 ? Math.max(1, inBytes) : inBytes)
  }
  const take = (max: number): readonly Delivery[] => {
    const now = clock.now()
    const live = arrived.filter(({ token }) => token.live)
    arrived = live.slice(max)
    return live.slice(0, max).map(({ token, delivery }) => ({ ...delivery, leaseMs: token.endsAt - now }))
  }

  const receive = async (max: number, { signal }: Call): Promise<readonly Delivery[]> => {
    const until = clock.now() + WAIT_MS
    polls.quiet = false
    for (;;) {
      if (broken) throw broken
      if (signal.aborted || draining || closing) return NONE
      const deliveries = take(max)
      if (deliveries.length > 0) return deliveries
      broken = polls.broken && gone(polls.broken)
      if (broken) throw broken
      if (polls.quiet && polls.underWay === 0) return NONE
      const room = roomFor(max)
      if (room > 0) polls.start(room)
      else if (polls.underWay === 0 && clock.now() >= until) return NONE
      // A poll ends by itself, or by its deadline.
      const pollMs = settings.requestTimeoutMs + settings.waitMs + WAIT_MS
      await bell.heard(polls.underWay > 0 ? pollMs : room > 0 ? AGAIN_MS : Math.max(1, until - clock.now()), signal)
    }
  }
  const gone = (error: PolybusError): PolybusError =>
    error.code === 'TOPOLOGY_MISSING' ? session.gone(queue, error) : error

  const settle = createSettle({
    session,
    layout,
    hands,
    held,
    settled(token) {
      held.drop(token)
      nudge()
    },
    lost: (token) => lose(token, true),
  })
  const extend = async (tokens: readonly unknown[], call: Call): Promise<readonly Result<number>[]> => {
    const now = clock.now()
    const lastsMs = ({ takenAt }: Token): number => Math.min(settings.visibilityMs, takenAt + MAX_HOLD_MS - now)
    const secondsOf = (token: Token): number => Math.floor(lastsMs(token) / 1000)
    // In the order of their lanes, the head first.
    const wanted = (tokens as readonly Token[]).filter((token) => token.live && secondsOf(token) > 0)
    const order = wanted.toSorted((a, b) => a.order - b.order)
    const answers = await hands.visible(order, secondsOf, call)
    const results = new Map(order.map((token, index) => [token, answers[index] as Result<void>]))
    const answeredAt = clock.now()
    return (tokens as readonly Token[]).map((token): Result<number> => {
      const result = results.get(token)
      if (result === undefined) return { ok: false, error: leaseLost(token.position) }
      if (!result.ok) {
        if (result.error.code === 'LEASE_LOST') lose(token, true)
        return result
      }
      const endsAt = now + secondsOf(token) * 1000
      held.renewed(token, endsAt)
      return { ok: true, value: Math.max(0, endsAt - answeredAt) }
    })
  }

  /** Whoever subscribes next gives them back, if it comes before their leases end. */
  const orphan = (): void => {
    arrived = []
    for (const token of held.all()) {
      held.drop(token)
      orphans.push(token)
    }
  }
  const close = async (): Promise<void> => {
    nudge()
    if (broken) {
      orphan()
      // Others may still be on their way; the next feed does not wait for them.
      void polls.ended().then(orphan)
      return
    }
    await polls.ended()
    broken = feedBroken('The feed is closed.')
    arrived = []
    const left = held.all()
    for (const token of left) held.drop(token)
    await Promise.all([left.length > 0 && hands.release(left, NEVER), ...givingBack])
  }

  const taken = orphans.splice(0).filter(({ endsAt }) => endsAt > clock.now())
  if (taken.length > 0) await hands.release(taken, NEVER)
  return {
    receive,
    async settle(batch, by) {
      if (by.signal.aborted) throw aborted('no')
      return settle(batch, by)
    },
    extend,
    state: () => ({ connected: broken === undefined, lanes: null, buffered: arrived.length }),
    // What a FIFO queue has may all stand behind what others hold.
    async backlog(by) {
      if (fifo) return null
      const { ApproximateNumberOfMessages } = (await look(link, queue, by)) ?? {}
      return ApproximateNumberOfMessages === undefined ? null : Number(ApproximateNumberOfMessages)
    },
    async drain() {
      draining = true
      nudge()
      await polls.ended()
      const back = arrived.filter(({ token }) => token.live).map(({ token }) => token)
      arrived = []
      for (const token of back) held.drop(token)
      if (back.length > 0) await hands.release(back, NEVER)
    },
    close: () => (closing ??= close()),
  }
}
