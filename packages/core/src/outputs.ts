// Transactional delivery: what an attempt publishes waits until its delivery is settled, and goes with it or not at all.
import type { Outgoing } from './adapter.ts'
import { PolybusError } from './errors.ts'

export interface Outputs {
  /** @throws {PolybusError} `ABORTED` after the attempt has ended, `BUFFER_FULL` past the limits of one attempt. */
  add(outgoing: Outgoing, bytes: number): void
  /** The attempt is over: nothing is added any more. */
  end(): readonly Outgoing[]
}

/** What one attempt may publish: it waits in memory, and a broker takes a transaction as one. */
const MAX_MESSAGES = 10_000
const MAX_BYTES = 32 * 1024 * 1024

export function createOutputs(): Outputs {
  const list: Outgoing[] = []
  let bytes = 0
  let over = false
  return {
    add(outgoing, size) {
      if (over)
        throw new PolybusError(
          'ABORTED',
          'The attempt is over, so what it still publishes belongs to no transaction. Await every publish before the handler returns.',
          { sent: 'no' },
        )
      if (list.length >= MAX_MESSAGES || bytes + size > MAX_BYTES)
        throw new PolybusError(
          'BUFFER_FULL',
          `One attempt can publish ${MAX_MESSAGES} messages and ${MAX_BYTES} bytes in its transaction. Publish less for each message, or use an idempotency store instead of a transaction.`,
          { sent: 'no', retryable: false },
        )
      bytes += size
      list.push(outgoing)
    },
    end() {
      over = true
      return list
    },
  }
}
