// What is done to a run, and when: nothing but the seed and the options decide it, so the same command does the same again.

export type Lane = 'publishers' | 'consumers' | 'broker' | 'store'
export type FaultKind =
  /** SIGKILL; a successor comes after `forMs`. */
  | 'kill-publisher'
  | 'kill-consumer'
  /** SIGKILL; started again after `forMs`. */
  | 'kill-broker'
  /** Connections are reset and refused for `forMs`. */
  | 'refuse'
  /** Half-open: nothing passes for `forMs`, and connections stay. */
  | 'pause'
  /** Every connection is reset, once. */
  | 'cut'
  /** The broker does what it is asked for, but the answer is swallowed and the connection reset: so for `forMs`, three times at most. */
  | 'swallow-answers'
  /** A server is killed and started again after `forMs`; a file is locked by another process for `forMs`. */
  | 'store-away'

export interface Fault {
  /** From the first publish. */
  readonly atMs: number
  readonly lane: Lane
  readonly kind: FaultKind
  /** Which process, from 1; 0 where there is only one of it. */
  readonly target: number
  readonly forMs: number
}

export interface Plan {
  readonly seed: number
  readonly durationMs: number
  /** Whether the broker may be killed: one that keeps what it has, and is ours. */
  readonly kills: boolean
  readonly store: 'server' | 'file'
  readonly publishers: number
  readonly consumers: number
}

/** How often a lane has a fault, about. */
const EVERY_MS: Readonly<Record<Lane, number>> = {
  publishers: 15_000,
  consumers: 12_000,
  broker: 10_000,
  store: 24_000,
}
const FOR_MS: Readonly<Record<FaultKind, readonly [number, number]>> = {
  'kill-publisher': [50, 1500],
  'kill-consumer': [50, 1500],
  'kill-broker': [100, 3000],
  refuse: [500, 5000],
  pause: [500, 6000],
  cut: [0, 0],
  'swallow-answers': [2000, 2000],
  'store-away': [300, 4000],
}
/** Longer than the store waits for a lock, sometimes. */
const LOCKED_MS = [2000, 8000] as const
/** No fault before and after: there must be something to break, and the last one belongs to the run. */
const WARM_UP_MS = 2000
const TAIL_MS = 1500

/** All faults by time. A lane has one after the other; lanes know nothing of each other. */
export function scheduleOf(plan: Plan): readonly Fault[] {
  const { publishers, consumers, kills, store } = plan
  const broker: readonly FaultKind[] = [kills ? 'kill-broker' : 'refuse', 'pause', 'cut', 'swallow-answers']
  return [
    ...laneOf(plan, 'publishers', ['kill-publisher'], publishers),
    ...laneOf(plan, 'consumers', ['kill-consumer'], consumers),
    ...laneOf(plan, 'broker', broker, 0),
    ...laneOf(plan, 'store', ['store-away'], 0, store === 'file' ? LOCKED_MS : undefined),
  ].sort((a, b) => a.atMs - b.atMs)
}

function laneOf(
  { seed, durationMs }: Plan,
  lane: Lane,
  kinds: readonly FaultKind[],
  targets: number,
  forMs?: readonly [number, number],
): Fault[] {
  // Its own numbers: what happens in one lane does not shift another.
  const random = randomOf(`${seed} ${lane}`)
  const between = ([low, high]: readonly [number, number]): number => Math.round(low + random() * (high - low))
  const windowMs = Math.max(0, durationMs - WARM_UP_MS - TAIL_MS)
  // Every kind comes once before one comes twice, as cards are dealt.
  const count = Math.max(kinds.length, Math.round(windowMs / EVERY_MS[lane]))
  const deck: FaultKind[] = []
  return Array.from({ length: count }, (_, slot) => {
    if (deck.length === 0) deck.push(...shuffled(kinds, random))
    const kind = deck.pop() ?? 'cut'
    const slotMs = windowMs / count
    return {
      atMs: Math.round(WARM_UP_MS + slot * slotMs + random() * 0.7 * slotMs),
      lane,
      kind,
      target: targets === 0 ? 0 : 1 + Math.floor(random() * targets),
      forMs: between(forMs ?? FOR_MS[kind]),
    }
  })
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}

/** Numbers from 0 to 1 that depend on the text alone: FNV-1a makes a start of it, mulberry32 goes on. */
export function randomOf(text: string): () => number {
  let state = 0x811c9dc5
  for (const byte of Buffer.from(text)) state = Math.imul(state ^ byte, 0x01000193)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
