// What transactional stores share, on whatever database.
import { describeError, PolybusError, type TransactionalStore } from '@polybus/core'
import type { Guard } from './guard.ts'

export interface DatabaseStore<Tx> extends TransactionalStore<Tx> {
  forget(prefix: string): Promise<void>
  /** Ends its cleaning. The client stays open: it is yours. */
  close(): Promise<void>
}

/** The handler's end, or that of its signal: then `tx` refuses use at once, and nobody waits for the handler. */
export async function untilAborted<Tx>(
  { tx, end }: Guard<Tx>,
  handle: (tx: Tx) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  let aborted = (): void => {}
  try {
    await new Promise<void>((resolve, reject) => {
      aborted = () => {
        end()
        reject(signal.reason as Error)
      }
      signal.addEventListener('abort', aborted)
      if (signal.aborted) aborted()
      else handle(tx).then(resolve, reject)
    })
  } finally {
    end()
    signal.removeEventListener('abort', aborted)
  }
}

/** The server answered, and its answer was no: the handler's failure, not the store's. */
export function refused(error: unknown): PolybusError {
  const { message } = describeError(error)
  return new PolybusError(
    'TRANSACTION_FAILED',
    `The database refused to commit the transaction of the handler: ${message}`,
    { cause: error },
  )
}
