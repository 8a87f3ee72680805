// Messages a second on a real broker: in each round every scenario once, on a channel of its own.
import { type Contender, contendersOf, isRaw, RAW_NAIVE } from './contenders.ts'
import { collector } from './heap.ts'
import { median } from './measure.ts'
import { pairedRatio, type Ratio } from './paired.ts'
import { purchasesOf } from './purchases.ts'
import { alternating, freshNames } from './rounds.ts'
import { shown, type Stage } from './stage.ts'
import type { Timed } from './tally.ts'
import { trial } from './trial.ts'

export interface Row {
  readonly direction: Contender['direction']
  readonly name: string
  readonly what: string
  /** In each round. */
  readonly messages: number
  /** Messages a second. */
  readonly median: number
  readonly lowest: number
  readonly highest: number
  /** This process's own microseconds a message, a median. */
  readonly cpuMicros: number
  /** By round. */
  readonly rates: readonly number[]
  /** To the raw ones, where both were measured. */
  readonly against: readonly (Ratio & { readonly name: string })[]
}
export interface Size {
  readonly bytes: number
  readonly rows: readonly Row[]
}

const SMALL = 256
/** Larger bodies: a quarter of the messages. */
const LARGE_SHARE = 0.25

export const messagesOf = ({ kind, messages }: Pick<Stage, 'kind' | 'messages'>, bytes: number): number =>
  Math.ceil((messages ?? kind.messages) * (bytes > SMALL ? LARGE_SHARE : 1))

export async function throughput(stage: Stage): Promise<readonly Size[]> {
  const { kind, sizes, only, alone } = stage
  const contenders = chosen(contendersOf(kind), only, alone)
  if (contenders.length === 0) throw new Error(`--only ${only}: no scenario`)
  const measured = []
  for (const bytes of sizes)
    measured.push({ bytes, rows: await allRounds(stage, contenders, bytes, messagesOf(stage, bytes)) })
  return measured
}

/** What holds the text, and the raw ones that it is compared with. */
export function chosen(contenders: readonly Contender[], only: string, alone: boolean): readonly Contender[] {
  const titled = contenders.filter(({ direction, name }) => `${direction} ${name}`.includes(only))
  if (alone) return titled.filter((contender) => !isRaw(contender))
  const directions = new Set(titled.map(({ direction }) => direction))
  return contenders.filter(
    (contender) => titled.includes(contender) || (isRaw(contender) && directions.has(contender.direction)),
  )
}

async function allRounds(
  stage: Stage,
  contenders: readonly Contender[],
  bytes: number,
  messages: number,
): Promise<readonly Row[]> {
  const { broker, url, raw, rounds } = stage
  const collect = collector()
  const make = purchasesOf(bytes)
  const fresh = freshNames()
  const results = await alternating(stage, contenders, (contender, round) => {
    const title = `${broker}, ${bytes} B, round ${round} of ${rounds}: ${contender.direction} ${contender.name}`
    shown(stage, title)
    const ground = { url, raw, channel: fresh(), make, messages: shareOf(contender, messages) }
    return trial(contender, ground, title, collect)
  })
  shown(stage, '')
  return rowsOf(contenders, results)
}

/** What a contender gets of a round's messages. */
export const shareOf = ({ share }: Pick<Contender, 'share'>, messages: number): number =>
  Math.max(50, Math.ceil(messages * share))

function rowsOf(contenders: readonly Contender[], results: ReadonlyMap<Contender, readonly Timed[]>): readonly Row[] {
  const ratesOf = (contender: Contender): readonly number[] =>
    (results.get(contender) ?? []).map(({ messages, ms }) => (messages / ms) * 1000)
  return contenders.map((contender): Row => {
    const { direction, name, what } = contender
    const timed = results.get(contender) ?? []
    const rates = ratesOf(contender)
    const bases = contenders.filter((other) => other !== contender && other.direction === direction && isRaw(other))
    const isNaive = name === RAW_NAIVE
    return {
      direction,
      name,
      what,
      messages: timed[0]?.messages ?? 0,
      median: median(rates),
      lowest: Math.min(...rates),
      highest: Math.max(...rates),
      cpuMicros: median(timed.map(({ cpuMs, messages }) => (cpuMs / messages) * 1000)),
      rates,
      against: isNaive ? [] : bases.map((base) => ({ name: base.name, ...pairedRatio(rates, ratesOf(base)) })),
    }
  })
}
