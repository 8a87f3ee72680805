// One publish after the other on a bus that does nothing else, beside the raw client's for the same guarantees: what a single
// call waits for, where nothing can be sent together.
import { attributesFor, within } from './brokers/raw.ts'
import { made, ofBus, type Publishes, RAW_TUNED, trusting } from './contenders.ts'
import { collector } from './heap.ts'
import { median } from './measure.ts'
import { pairedRatio, type Ratio } from './paired.ts'
import { percentile } from './percentile.ts'
import { purchasesOf } from './purchases.ts'
import { alternating, freshNames } from './rounds.ts'
import { shown, type Stage } from './stage.ts'
import { balanced, LIMIT_MS, onChannel } from './trial.ts'

/** In each round, after those that warm up. */
const CALLS = 1000
const WARM_UP = 0.2

/** In milliseconds. */
interface Waits {
  readonly p50: number
  readonly p99: number
}
export interface Idle {
  readonly bytes: number
  /** In each round. */
  readonly calls: number
  readonly sides: readonly (Waits & { readonly name: string; readonly rounds: readonly Waits[] })[]
  /** Of Polybus to raw: above 1 is slower. */
  readonly p50: Ratio
  readonly p99: Ratio
}

interface Side {
  readonly name: string
  open(ground: Parameters<typeof ofBus>[0]): Promise<Publishes>
}

export async function idle(stage: Stage): Promise<Idle> {
  const { broker, url, raw, rounds, sizes } = stage
  const [bytes] = sizes
  const make = purchasesOf(bytes)
  const calls = Math.min(CALLS, stage.messages ?? CALLS)
  const collect = collector()
  const fresh = freshNames()
  const sides: readonly [Side, Side] = [
    { name: RAW_TUNED, open: ({ channel }) => raw.publishTuned(channel, make, attributesFor(channel)) },
    { name: 'polybus', open: (ground) => ofBus(ground, trusting) },
  ]
  const results = await alternating(stage, sides, (side, round) => {
    const title = `${broker}, round ${round} of ${rounds}: single publishes, ${side.name}`
    shown(stage, title)
    const channel = fresh()
    return onChannel(raw, channel, title, async () => {
      await made({ url, channel })
      const { publish, close } = await within(LIMIT_MS, `${title}, set-up`, side.open({ url, channel, make }))
      collect()
      const { waits, sent } = await within(LIMIT_MS, title, oneByOne(publish, calls))
      await close()
      await balanced(raw, channel, sent)
      return { p50: percentile(waits, 50), p99: percentile(waits, 99) }
    })
  })
  shown(stage, '')
  const of = (side: Side, what: keyof Waits): readonly number[] => (results.get(side) ?? []).map((round) => round[what])
  const ratio = (what: keyof Waits): Ratio => pairedRatio(of(sides[1], what), of(sides[0], what))
  return {
    bytes,
    calls,
    sides: sides.map((side) => ({
      name: side.name,
      p50: median(of(side, 'p50')),
      p99: median(of(side, 'p99')),
      rounds: results.get(side) ?? [],
    })),
    p50: ratio('p50'),
    p99: ratio('p99'),
  }
}

async function oneByOne(publish: Publishes['publish'], calls: number): Promise<{ waits: Float64Array; sent: number }> {
  const first = Math.ceil(calls * WARM_UP)
  const waits = new Float64Array(calls)
  for (let index = 0; index < first + calls; index++) {
    const from = performance.now()
    await publish(index, index + 1)
    if (index >= first) waits[index - first] = performance.now() - from
  }
  return { waits, sent: first + calls }
}
