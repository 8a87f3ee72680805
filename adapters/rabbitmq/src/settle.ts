import type { Call, PolybusError, Result, Settlement } from '@polybus/core'
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
    return put(session, target, to, routes, native, call)
  }
  const one = async (settlement: Settlement, call: Call, acked: Set<Lane>): Promise<Result<void>> => {
    const token = settlement.token as Token
    if (!token.live || !token.lane.open) return lost(token)
    if (settlement.kind === 'release') {
      release(token)
      return OK
    }
    if (settlement.kind === 'move' && !token.copied) {
      const error = await copy(token, settlement, call)
      if (error) return { ok: false, error }
      token.copied = true
      if (!token.live || !token.lane.open) return lost(token)
    }
    token.lane.ack(token)
    settled(token)
    acked.add(token.lane)
    // The batch's acks go together; what comes later goes alone.
    if (settlement.kind === 'move') token.lane.flush()
    return OK
  }
  return async (batch, call) => {
    const acked = new Set<Lane>()
    const work = Promise.all(
      batch.map(async (settlement): Promise<Result<void>> => {
        try {
          return await one(settlement, call, acked)
        } catch (error) {
          return { ok: false, error: rabbitError(error) }
        }
      }),
    )
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
    const results = await work
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

const lost = ({ position }: Token): Result<void> => ({ ok: false, error: leaseLost(position) })
