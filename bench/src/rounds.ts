// Rounds in which everything runs once, one after the other, so that what slows the machine down meets all of it.
import { randomBytes } from 'node:crypto'

export interface Rounds {
  readonly rounds: number
  /** False: no round warms the code up. For runs that see whether it works, and not how fast. */
  readonly warmUp: boolean
}

/**
 * Every second round goes backwards. The first one warms the code up, and does not count.
 *
 * @returns What each entry gave, by round.
 */
export async function alternating<T, R>(
  { rounds, warmUp }: Rounds,
  entries: readonly T[],
  once: (entry: T, round: number) => Promise<R>,
): Promise<ReadonlyMap<T, readonly R[]>> {
  const results = new Map(entries.map((entry) => [entry, [] as R[]]))
  for (let round = warmUp ? 0 : 1; round <= rounds; round++)
    for (const entry of round % 2 === 0 ? entries : entries.toReversed()) {
      const result = await once(entry, round)
      if (round > 0) results.get(entry)?.push(result)
    }
  return results
}

/** Names of channels that nobody had before. */
export function freshNames(): () => string {
  const run = randomBytes(4).toString('hex')
  let count = 0
  return () => `bench-${run}-${count++}`
}
