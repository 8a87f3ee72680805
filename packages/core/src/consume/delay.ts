// How a delay reaches the broker: in one piece, in hops, or down the ladder.
import type { Capabilities } from '../adapter.ts'

/** The rungs that brokers without delays of their own are given, longest first: the same for every policy and deploy. */
export const LADDER_MS: readonly number[] = [600_000, 60_000, 10_000, 1000]

export interface Hop {
  /** What the broker is asked for now. */
  readonly delayMs: number
  /** What remains after it; it travels in a header. */
  readonly restMs: number
}

/** Waits shorter than this stay in the process. */
export const heldBelowMs = (delay: Capabilities['delay']): number =>
  delay.kind === 'none' ? Infinity : delay.kind === 'ladder' ? (LADDER_MS.at(-1) as number) : (delay.stepMs ?? 0)

/** The next hop of a wait; undefined where it has to be held. */
export function nextHop(remainingMs: number, delay: Capabilities['delay']): Hop | undefined {
  const ms = Math.ceil(remainingMs)
  if (delay.kind === 'none') return undefined
  if (delay.kind === 'exact') return { delayMs: Math.min(ms, delay.maxMs), restMs: Math.max(0, ms - delay.maxMs) }
  const rung = LADDER_MS.find((candidate) => candidate <= ms)
  return rung === undefined ? undefined : { delayMs: rung, restMs: ms - rung }
}
