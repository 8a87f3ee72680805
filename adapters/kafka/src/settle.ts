import type { Call, PolybusError, Result, Settlement } from '@polybus/core'
import type { NewRecord } from './client.ts'
import type { Commits } from './commits.ts'
import { kafkaError, leaseLost } from './errors.ts'
import { isGood, type Lane, type Token } from './lane.ts'
import type { Layout } from './layout.ts'
import type { Output } from './outputs.ts'
import { copyOf, positionOf, toNative, withCoreHeaders } from './mapping.ts'
import { sendCopies } from './send.ts'
import type { Session } from './session.ts'

const OK: Result<void> = { ok: true, value: undefined }

export interface SettleOptions {
  readonly session: Session
  readonly layout: Layout
  /** Acks have to be for good. */
  readonly durable: boolean
  /** Copies and what handlers published go with the position. */
  readonly transactional: boolean
  readonly commits: Commits
  /** It is finished, or given back: the lane's ledger is told. */
  readonly done: (token: Token, how: 'finish' | 'release', outputs?: readonly Output[]) => void
}

export function createSettle(options: SettleOptions): Settle {
  const { session, layout, durable, commits, done } = options

  const recordOf = ({ token, headers, message }: Move): NewRecord =>
    message ? toNative(withCoreHeaders(message, headers), layout) : copyOf(token.record, headers)
  /** Puts the copies there; the answer says which can't be finished. */
  const copy = async (moves: readonly Move[], call: Call): Promise<ReadonlyMap<Token, PolybusError>> => {
    const errors = new Map<Token, PolybusError>()
    const copies: (Output & { readonly token: Token })[] = []
    for (const move of moves)
      try {
        copies.push({ token: move.token, record: recordOf(move), to: move.to })
      } catch (error) {
        errors.set(move.token, kafkaError(error))
      }
    const results = await sendCopies(session, copies, call)
    for (const [index, { token }] of copies.entries()) {
      const error = results[index]
      if (error) errors.set(token, error)
      else token.copied = true
    }
    return errors
  }
  const lost = ({ record }: Token): Result<void> => ({ ok: false, error: leaseLost(positionOf(record)) })

  const settleNow: Settle = async (batch, call) => {
    const moves = batch.filter(isMove).filter(({ token }) => isGood(token) && !token.copied)
    const errors = moves.length > 0 ? await copy(moves, call) : NONE
    const results = batch.map((settlement): Result<void> => {
      const token = settlement.token as Token
      const error = errors.get(token)
      if (error) return { ok: false, error }
      // Its commit had failed.
      if (durable && token.state === 'finished' && !token.lane.lost) return OK
      if (!isGood(token)) return lost(token)
      done(token, settlement.kind === 'release' ? 'release' : 'finish')
      return OK
    })
    if (!durable || !results.some(({ ok }) => ok)) return results
    try {
      await commits.flush()
      return results
    } catch (error) {
      return results.map((result) => (result.ok ? { ok: false, error: kafkaError(error) } : result))
    }
  }

  const outputsOf = (settlement: Settlement): readonly Output[] => {
    if (isMove(settlement)) return [{ record: recordOf(settlement), to: settlement.to }]
    const { outputs = [] } = settlement.kind === 'ack' ? settlement : {}
    return outputs.map(({ message, to }) => ({
      record: toNative(message, session.layoutFor(session.spec(to.channel))),
      to,
    }))
  }
  /** What goes with it is kept until the position passes it. */
  const settleTogether: Settle = (batch) => {
    const touched = new Set<Lane>()
    const results = batch.map((settlement): Result<void> => {
      const token = settlement.token as Token
      if (!isGood(token)) return lost(token)
      try {
        const outputs = outputsOf(settlement)
        done(token, settlement.kind === 'release' ? 'release' : 'finish', outputs)
      } catch (error) {
        return { ok: false, error: kafkaError(error) }
      }
      touched.add(token.lane)
      return OK
    })
    for (const lane of touched) commits.soon(lane)
    return Promise.resolve(results)
  }
  return options.transactional ? settleTogether : settleNow
}

type Settle = (batch: readonly Settlement[], call: Call) => Promise<readonly Result<void>[]>
type Move = Settlement & { readonly kind: 'move'; readonly token: Token }
const NONE: ReadonlyMap<Token, PolybusError> = new Map()
const isMove = (settlement: Settlement): settlement is Move => settlement.kind === 'move'
