// What both kinds of processes do alike.
import { setTimeout as sleep } from 'node:timers/promises'
import { PolybusError } from 'polybus'
import type { FromChild, ToChild } from './protocol.ts'

export interface Running {
  /** In good order: what is under way is finished. */
  stop(): Promise<void>
}

/** Starts when it is told to, and ends by itself when it was stopped, or when its parent is gone. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- only a parent knows what orders these are
export function obey<Orders>(start: (orders: Orders) => Promise<Running>): void {
  let running: Promise<Running> | undefined
  const hear = async (message: ToChild<Orders>): Promise<void> => {
    if (message.kind === 'start') {
      await (running = start(message.orders))
      process.send?.({ kind: 'ready' } satisfies FromChild)
    } else {
      await (await running)?.stop()
      process.exit(0)
    }
  }
  process.on('message', (message: ToChild<Orders>) => {
    hear(message).catch((error: unknown) => {
      console.error(error)
      process.exit(1)
    })
  })
  process.on('disconnect', () => process.exit())
}

const PAUSE_MS = 200

/** Whoever starts while the broker is away tries again, as a supervisor would make it do. Its parent ends it when it is too late. */
export async function persist<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;)
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof PolybusError && error.retryable)) throw error
      await sleep(PAUSE_MS)
    }
}
