// Settling deliveries: one result each, the same object for all that went well.
import type { Call, Receipt, Result, Settlement } from '@polybus/core'
import type { Channel, Connection, Handed, Lane, Member } from './state.ts'
import { calm, cut, through } from './connection.ts'
import { aborted, connectionFailed, leaseLost } from './errors.ts'
import { wakeLane } from './groups.ts'
import { finish, giveBack } from './lanes.ts'
import { trim } from './log.ts'
import { withCoreHeaders } from './mapping.ts'
import { put, stampOf, wakeTouched, type Writer, writeTogether } from './write.ts'

export const OK: Result<void> = { ok: true, value: undefined }

type Move = Settlement & { readonly kind: 'move' }
type Settle = (batch: readonly Settlement[], call: Call) => Promise<readonly Result<void>[]>

export function createSettle(writer: Writer, connection: Connection, member: Member): Settle {
  const { broker } = writer
  const prefix = !broker.abilities.singleSettle
  const { releaseHeaders, atomicMove } = broker.abilities
  const late = (handed: Handed): Result<void> => ({ ok: false, error: leaseLost(handed.position) })

  const copy = (handed: Handed, settlement: Move, touched: Channel[]): Result<Receipt> => {
    // Core repeats a move whose second half failed.
    if (handed.copied) return { ok: true, value: {} }
    const message = withCoreHeaders(settlement.message ?? handed.entry.message, settlement.headers)
    const written = put(writer, { handover: 0, message, to: settlement.to }, stampOf(broker), touched)
    handed.copied = written.ok
    return written
  }

  /** `copied`: the results of the moves' first halves, where a move is not atomic. */
  const settleAll = (
    batch: readonly Settlement[],
    copied?: readonly (Result<Receipt> | undefined)[],
  ): Result<void>[] => {
    const results: Result<void>[] = []
    const touched: Channel[] = []
    let released: Set<Lane> | undefined
    for (let index = 0; index < batch.length; index++) {
      const settlement = batch[index] as Settlement
      const handed = settlement.token as Handed
      if (!handed.live || handed.member !== member) {
        results.push(late(handed))
        continue
      }
      if (settlement.kind === 'move') {
        const written = copied ? copied[index] : copy(handed, settlement, touched)
        if (written?.ok) finish(handed, prefix)
        results.push(written?.ok === false ? written : OK)
        continue
      }
      if (settlement.kind === 'ack') {
        const error = settlement.outputs && writeTogether(writer, settlement.outputs, touched)
        if (!error) finish(handed, prefix)
        results.push(error ? { ok: false, error } : OK)
      } else {
        results.push(OK)
        const keep = releaseHeaders && settlement.headers
        giveBack(handed, false, keep ? withCoreHeaders(handed.message, keep) : undefined)
        released ??= new Set()
        released.add(handed.from)
      }
    }
    trim(member.group.channel, broker.limits)
    wakeTouched(touched)
    if (released) for (const lane of released) wakeLane(lane)
    // There is room again.
    member.wake()
    return results
  }
  const copyMoves = (batch: readonly Settlement[]): (Result<Receipt> | undefined)[] => {
    const touched: Channel[] = []
    const copied = batch.map((settlement) => {
      if (settlement.kind !== 'move') return undefined
      const handed = settlement.token as Handed
      return handed.live && handed.member === member ? copy(handed, settlement, touched) : undefined
    })
    wakeTouched(touched)
    return copied
  }

  const inSteps = async (batch: readonly Settlement[], call: Call): Promise<readonly Result<void>[]> => {
    const copied = await through(broker, connection, call, () => copyMoves(batch))
    if (broker.faults.loseAnswers > 0) {
      broker.faults.loseAnswers--
      cut(broker, connection)
      throw connectionFailed(broker.name, 'unknown')
    }
    return through(broker, connection, call, () => settleAll(batch, copied))
  }

  return async (batch, call) => {
    if (member.broken) throw member.broken
    if (call.signal.aborted) throw aborted('no')
    if (!atomicMove && batch.some(({ kind }) => kind === 'move')) return inSteps(batch, call)
    const results = calm(broker, connection)
      ? settleAll(batch)
      : await through(broker, connection, call, () => settleAll(batch))
    return prefix && member.source.durable ? whenDurable(batch, results, call) : results
  }
}

/** With prefix settlement an acknowledgement is confirmed when all before it is finished, and not sooner. */
async function whenDurable(
  batch: readonly Settlement[],
  results: readonly Result<void>[],
  call: Call,
): Promise<readonly Result<void>[]> {
  const waits = batch.map((settlement, index): Promise<Result<void>> => {
    const result = results[index] as Result<void>
    const handed = settlement.token as Handed
    const waits = settlement.kind === 'ack' && result.ok && handed.from.ahead.has(handed.entry)
    return waits ? confirmed(handed, call) : Promise.resolve(result)
  })
  return Promise.all(waits)
}

function confirmed({ entry, from, position }: Handed, { signal }: Call): Promise<Result<void>> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      from.durable.delete(entry)
      reject(aborted('unknown'))
    }
    signal.addEventListener('abort', abort)
    from.durable.set(entry, (done) => {
      signal.removeEventListener('abort', abort)
      resolve(done ? OK : { ok: false, error: leaseLost(position) })
    })
  })
}
