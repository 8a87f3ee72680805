// What two scenarios of the same rounds say of each other. Rounds are paired: what slows the machine down slows both.
import { median } from './measure.ts'

export interface Ratio {
  /** Of the rounds' ratios. */
  readonly median: number
  /** Where that median lies, with the confidence. */
  readonly low: number
  readonly high: number
  /** 0.95 where there are six rounds or more; with fewer the widest interval is all there is. */
  readonly confidence: number
}

const CONFIDENCE = 0.95

/**
 * The interval is of order statistics: whatever the distribution, the median lies below the k-th smallest of n values with the
 * probability that fewer than k of n throws of a coin are heads. Of nine rounds that is the second and the eighth value (96 %).
 */
export function pairedRatio(own: readonly number[], base: readonly number[]): Ratio {
  if (own.length !== base.length || own.length === 0)
    throw new Error('expected as many rounds of both, and one at least')
  const ratios = own.map((value, round) => value / (base[round] ?? NaN)).toSorted((a, b) => a - b)
  const { rank, confidence } = rankOf(ratios.length)
  return { median: median(ratios), low: ratios[rank - 1] ?? NaN, high: ratios[ratios.length - rank] ?? NaN, confidence }
}

/** The narrowest that has the confidence: from the rank-th smallest to the rank-th largest. */
export function rankOf(count: number): { readonly rank: number; readonly confidence: number } {
  let heads = 0.5 ** count
  let outside = 2 * heads
  let found = { rank: 1, confidence: 1 - outside }
  for (let rank = 2; rank <= count / 2; rank++) {
    heads *= (count - rank + 2) / (rank - 1)
    outside += 2 * heads
    if (1 - outside < CONFIDENCE) break
    found = { rank, confidence: 1 - outside }
  }
  return found
}
