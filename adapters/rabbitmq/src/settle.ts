import type { Call, MaybePromise, PolybusError, Result, Settlement } from '@polybus/core'
import { leaseLost, rabbitError } from './errors.ts'
import type { Lane, Token } from './lane.ts'
import type { Layout } from './layout.ts'
import { copyOf, fromNative, toNative } from './mapping.ts'
import { put, routesOf } from './send.ts'
import type { Session } from './session.ts'

const OK: Result<void> = { ok: true, value: undefined }

export interface SettleOptions {
  readonly session: Session
  readonly layout: Layout
  /** Acks have to be for good. */
  readonly durable: boolean
  /** Given back, where it can be now; else when its lane is closed. */
  readonly release: (token: Token) => void
  readonly settled: (token: Token) => void
}

export function createSettle(
  options: SettleOptions,
): (batch: readonly Settlement[], call: Call) => Promise<readonly Result<void>[]> {
  const { session, layout, durable, release, settled } = options

  const copy = async (
    token: Token,
    settlement: Settlement & { kind: 'move' },
    call: Call,
  ): Promise<PolybusError | undefined> => {
    const { to, headers, message } = settlement
    const target = to.channel === layout.channel ? layout : await session.layout(to.channel, call)
    const { id, key = id, type } = message ?? fromNative(token.message, layout.options)
    const routes = routesOf(target, to, key, type)
    const lane = routes[0]?.lane
    const native = message
      ? toNative(
          { ...message, headers: [...message.headers.filter(([name]) => !name.startsWith('polybus-')), ...headers] },
          lane,
          token.message.properties.priority as number | undefined,
        )
      : copyOf(token.message, headers, lane)
    return put({ session, layout: target, to, routes, native, call })
  }
  const finish = (token: Token, acked: Set<Lane>): Result<void> => {
    token.lane.ack(token)
    settled(token)
    acked.add(token.lane)
    return OK
  }
  const move = async (
    settlement: Settlement & { kind: 'move' },
    token: Token,
    call: Call,
    acked: Set<Lane>,
  ): Promise<Result<void>> => {
    try {
      if (!token.copied) {
        const error = await copy(token, settlement, call)
        if (error) return { ok: false, error }
        token.copied = true
        if (!isOurs(token)) return lost(token)
      }
      finish(token, acked)
      // The batch's acks go together; what comes later goes alone.
      token.lane.flush()
      return OK
    } catch (error) {
      return failed(error)
    }
  }
  /** At once, but where a copy has to be confirmed first. */
  const one = (settlement: Settlement, call: Call, acked: Set<Lane>): MaybePromise<Result<void>> => {
    const token = settlement.token as Token
    if (!isOurs(token)) return lost(token)
    if (settlement.kind === 'move') return move(settlement, token, call, acked)
    if (settlement.kind === 'ack') return finish(token, acked)
    try {
      release(token)
      return OK
    } catch (error) {
      return failed(error)
    }
  }
  return async (batch, call) => {
    const acked = new Set<Lane>()
    const moves: Promise<void>[] = []
    const results = batch.map((settlement, index): Result<void> => {
      const result = one(settlement, call, acked)
      if (!(result instanceof Promise)) return result
      moves.push(result.then((later) => void (results[index] = later)))
      return OK
    })
    const failures = new Map<Lane, PolybusError>()
    const tell = (lane: Lane): void => {
      try {
        lane.flush()
      } catch (error) {
        failures.set(lane, rabbitError(error))
      }
    }
    // What needs no copy is done by now.
    for (const lane of acked) tell(lane)
    await Promise.all(moves)
    if (durable)
      await Promise.all(
        [...acked].map((lane) => lane.commit().catch((error: unknown) => failures.set(lane, rabbitError(error)))),
      )
    if (failures.size === 0) return results
    return results.map((result, index) => {
      const token = batch[index]?.token as Token | undefined
      const error = token && failures.get(token.lane)
      return result.ok && error ? { ok: false, error } : result
    })
  }
}

const isOurs = ({ live, lane }: Token): boolean => live && lane.open
const failed = (error: unknown): Result<void> => ({ ok: false, error: rabbitError(error) })
const lost = ({ position }: Token): Result<void> => ({ ok: false, error: leaseLost(position) })
