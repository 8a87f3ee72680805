// One run of a contender on a channel of its own, and the proof that it did all of its work.
import { type RawBroker, within } from './brokers/raw.ts'
import type { Contender, Ground } from './contenders.ts'
import type { Timed } from './tally.ts'

/** For one scenario's set-up, run or end. */
export const LIMIT_MS = 180_000
/** What was settled last may still be on its way to the broker's books. */
const BOOKS_MS = 10_000

export async function trial(
  contender: Pick<Contender, 'prepare'>,
  ground: Ground,
  title: string,
  collect: () => void,
): Promise<Timed> {
  const { raw, channel } = ground
  return onChannel(raw, channel, title, async () => {
    const ready = await within(LIMIT_MS, `${title}, set-up`, contender.prepare(ground))
    const end = (): Promise<void> => within(LIMIT_MS, `${title}, end`, ready.close())
    collect()
    const timed = await within(LIMIT_MS, title, ready.run()).catch(async (error: unknown) => {
      // What it failed of says more than that it did not end either.
      await end().catch(() => undefined)
      throw error
    })
    await end()
    // Neither publishing nor settling may have been left out.
    await balanced(raw, channel, ready.left)
    return timed
  })
}

/** Deletes the channel afterwards, and says where it was that something failed. */
export async function onChannel<T>(raw: RawBroker, channel: string, title: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw new Error(`${title}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  } finally {
    await within(LIMIT_MS, `${title}, deletion`, raw.drop(channel))
  }
}

/** @throws {Error} where the group does not come to have so many unfinished messages. */
export async function balanced(raw: RawBroker, channel: string, expected: number): Promise<void> {
  const until = performance.now() + BOOKS_MS
  for (;;) {
    const left = await within(LIMIT_MS, channel, raw.left(channel))
    if (left === expected) return
    if (performance.now() > until) throw new Error(`the group has ${left} unfinished messages, not ${expected}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
