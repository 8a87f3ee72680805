// A feed that does not ask SQS: Lambda has, and hands over what it got. What is finished here Lambda deletes itself, what is
// given back it is told of. Copies (retries, dead letters) go to their queues as from any other feed.
import type { Message } from '@aws-sdk/client-sqs'
import {
  type Call,
  type Clock,
  createBell,
  type Delivery,
  type Feed,
  type Result,
  type Settlement,
  type Source,
} from '@polybus/core'
import { feedBroken, leaseLost, unsupported } from './errors.ts'
import type { FeedOptions } from './feed.ts'
import { createHeld, type Token } from './held.ts'
import { fromMessage } from './mapping.ts'
import { createHands, type Hands, OK } from './hands.ts'
import { createSettle } from './settle.ts'
import { tokenOf } from './token.ts'

/** What became of a record. `acked` may be deleted; `moved` has a copy elsewhere and may be deleted too. */
export type Ending = 'acked' | 'moved' | 'failed'

/** The records of one event. */
export interface Batch {
  /** Resolves when each has an ending, in the order of the event. */
  readonly ended: Promise<readonly { readonly native: Message; readonly ending: Ending }[]>
  /** Places in line that still have no ending: message groups, or messages where there are none. */
  readonly open: number
  /** Nothing more starts; what runs may finish. */
  giveBack(): void
  /** What has no ending by now is a failure. */
  abandon(): void
}

export interface Desk {
  readonly makeFeed: (options: FeedOptions) => Promise<Feed>
  hand(natives: readonly Message[]): Batch
}

interface Entry {
  readonly native: Message
  readonly lane: string
  token: Token | undefined
  ending: Ending | undefined
}

/** How long an empty receive waits. */
const WAIT_MS = 1000
/** A copy that cannot be written is left to the queue, whose visibility timeout costs nothing, after so many tries. */
const TRIES = 3
/**
 * What was handed out so often may be in one event with what kills the process, and Lambda deletes nothing of an event that
 * killed it: such records are deleted one by one, or none of them would ever be done.
 */
const AGAIN = 3
const NONE: readonly Delivery[] = []
const receivedOf = ({ Attributes }: Message): number => Number(Attributes?.ApproximateReceiveCount ?? 0)

export function createDesk(clock: Clock): Desk {
  const owners = new Map<Token, (ending: Ending) => void>()
  let waiting: { readonly entry: Entry; readonly end: (ending: Ending) => void }[] = []
  let source: Source | undefined
  const bell = createBell(clock)
  let count = 0

  const endOf = (token: Token, ending: Ending): void => {
    const end = owners.get(token)
    owners.delete(token)
    end?.(ending)
  }

  const hand = (natives: readonly Message[]): Batch => {
    const entries = natives.map((native): Entry => {
      const lane = native.Attributes?.MessageGroupId ?? native.MessageId ?? ''
      return { native, lane, token: undefined, ending: undefined }
    })
    let missing = entries.length
    let finished: (() => void) | undefined
    const ended = new Promise<void>((resolve) => (finished = resolve))
    const end = (entry: Entry, ending: Ending): void => {
      if (entry.ending !== undefined) return
      entry.ending = ending
      if (--missing === 0) finished?.()
    }
    waiting.push(...entries.map((entry) => ({ entry, end: (ending: Ending) => end(entry, ending) })))
    if (missing === 0) finished?.()
    bell.ring()
    const open = (): Entry[] => entries.filter(({ ending }) => ending === undefined)
    const unhanded = (): void => {
      const mine = new Set(entries)
      waiting = waiting.filter(({ entry }) => !mine.has(entry))
      for (const entry of open()) if (!entry.token) end(entry, 'failed')
    }
    const held = (): Token[] => open().flatMap(({ token }) => token ?? [])
    const abandon = (): void => {
      unhanded()
      const tokens = held()
      for (const token of tokens) endOf(token, 'failed')
      if (tokens.length > 0) source?.onLost(tokens)
    }
    return {
      ended: ended.then(() => entries.map(({ native, ending = 'failed' }) => ({ native, ending }))),
      get open() {
        return new Set(open().map(({ lane }) => lane)).size
      },
      giveBack() {
        unhanded()
        const tokens = held()
        // What does not end is abandoned later.
        if (tokens.length > 0) source?.onRevoke(tokens).catch(abandon)
      },
      abandon,
    }
  }

  const makeFeed = async ({ session, layout, queue, queueUrl, source: given }: FeedOptions): Promise<Feed> => {
    if (given.durable)
      throw unsupported(
        "lambda() cannot do delivery 'at-most-once': Lambda deletes messages after the function has returned, and hands them out again where it did not. Nearest: leave delivery out, and give the consumer an idempotency store.",
      )
    const what = `queue '${queue.name}'`
    const fifo = layout.keyed
    const held = createHeld(clock, fifo, () => {})
    const tries = new Map<Token, number>()
    let draining = false
    let closed = false
    source = given

    const kinds = new Map<Token, Settlement['kind']>()
    const real = createHands(session.link, queueUrl, what, fifo)
    const hands: Hands = {
      ...real,
      async finish(tokens, call) {
        const again = tokens.filter(({ native }) => receivedOf(native) >= AGAIN)
        const results = again.length > 0 ? await real.finish(again, call) : []
        const deleted = new Map(again.map((token, index) => [token, results[index] ?? OK]))
        return tokens.map((token) => deleted.get(token) ?? OK)
      },
      release: (tokens) => Promise.resolve(tokens.map(() => OK)),
    }
    const settleAll = createSettle({
      session,
      layout,
      hands,
      held,
      settled(token) {
        const kind = kinds.get(token)
        endOf(token, kind === 'release' ? 'failed' : kind === 'move' ? 'moved' : 'acked')
      },
      lost: (token) => endOf(token, 'failed'),
    })
    const settle = async (batch: readonly Settlement[], call: Call): Promise<readonly Result<void>[]> => {
      for (const { token, kind } of batch) kinds.set(token as Token, kind)
      const results = await settleAll(batch, call)
      return results.map((result, index) => {
        const token = batch[index]?.token as Token
        kinds.delete(token)
        if (result.ok || !token.live) return result
        const times = (tries.get(token) ?? 0) + 1
        tries.set(token, times)
        if (result.error.retryable && times < TRIES) return result
        endOf(token, 'failed')
        return { ok: false, error: leaseLost(token.position, result.error) }
      })
    }
    const take = (max: number): readonly Delivery[] =>
      waiting.splice(0, max).map(({ entry, end }): Delivery => {
        const { native } = entry
        const lane = native.Attributes?.MessageGroupId ?? ''
        const received = receivedOf(native)
        const token = tokenOf(native, {
          order: ++count,
          lane: fifo ? lane : '',
          takenAt: clock.now(),
          endsAt: Infinity,
        })
        entry.token = token
        owners.set(token, (ending) => {
          held.drop(token)
          tries.delete(token)
          end(ending)
        })
        held.add(token)
        return {
          message: fromMessage(native, layout.options),
          token,
          lane: token.lane,
          position: token.position,
          count: received === 0 ? null : received,
          leaseMs: null,
        }
      })
    return {
      async receive(max, { signal }) {
        if (closed) throw feedBroken('The feed is closed.')
        const found = take(max)
        if (found.length > 0 || signal.aborted || draining) return found
        await bell.heard(WAIT_MS, signal)
        return signal.aborted || draining || closed ? NONE : take(max)
      },
      settle,
      state: () => ({ connected: !closed, lanes: null, buffered: waiting.length }),
      drain() {
        draining = true
        bell.ring()
        return Promise.resolve()
      },
      close() {
        closed = true
        if (source === given) source = undefined
        bell.ring()
        for (const token of held.all()) endOf(token, 'failed')
        held.stop()
        return Promise.resolve()
      },
    }
  }
  return { makeFeed, hand }
}
