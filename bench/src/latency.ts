// From the call of publish to the start of the handler, by the clock of the one process that does both, at a steady rate: parts
// of what the naive raw client can carry from end to end. Polybus does its whole pipeline (zod, retry, dead letters).
import type { Consuming, Publishing, RawBroker } from './brokers/raw.ts'
import { within } from './brokers/raw.ts'
import { checked, made, ofBus, subscribed } from './contenders.ts'
import { collector } from './heap.ts'
import { median } from './measure.ts'
import { openLoop, type Schedule } from './open-loop.ts'
import { pairedRatio, type Ratio } from './paired.ts'
import { percentile } from './percentile.ts'
import { indexOf, type Make, type Purchase, purchasesOf } from './purchases.ts'
import { alternating, freshNames } from './rounds.ts'
import { shown, type Stage } from './stage.ts'
import { createTally, type Tally } from './tally.ts'
import { balanced, LIMIT_MS, onChannel } from './trial.ts'

const PARTS = [0.1, 0.5, 0.9]
/** Of the messages before those that count: a part. */
const WARM_UP = 0.2
/** Of the naive client's capacity: the median of so many tries, after one that warms up. */
const TRIES = 3
/** A run of a lower rate than this takes longer, so that its p99 is of some messages. */
const SLOWEST = 60

/** In milliseconds. */
interface Delays {
  readonly p50: number
  readonly p99: number
  /** How late messages were sent, p99: what of it all was the sender's own loop. */
  readonly late: number
}
export interface LatencyRow {
  /** Of the capacity. */
  readonly part: number
  /** Messages a second. */
  readonly rate: number
  /** That count, in each round. */
  readonly messages: number
  /** Medians over the rounds, and the rounds. */
  readonly sides: readonly (Delays & { readonly name: string; readonly rounds: readonly Delays[] })[]
  /** Of Polybus to raw naive: above 1 is slower. */
  readonly p50: Ratio
  readonly p99: Ratio
}
export interface Latency {
  readonly bytes: number
  /** Messages a second that raw naive published and consumed at one time. */
  readonly capacity: number
  readonly rows: readonly LatencyRow[]
}

interface Ends {
  readonly publishing: Pick<Publishing, 'publish' | 'close'>
  readonly consuming: Consuming
}
interface Side {
  readonly name: string
  open(ground: Where, handle: (order: Purchase) => void, fail: Tally['fail']): Promise<Ends>
}
interface Where {
  readonly url: string
  readonly raw: RawBroker
  readonly channel: string
  readonly make: Make
}

const naive: Side = {
  name: 'raw naive',
  async open({ raw, channel, make }, handle, fail) {
    const consuming = await raw.consumeNaive(channel, async (order) => handle(order), fail)
    return { consuming, publishing: await raw.publishNaive(channel, make) }
  },
}
const polybus: Side = {
  name: 'polybus',
  async open(where, handle, fail) {
    const consuming = await subscribed(where, { fail }, { handler: async (order) => handle(order) })
    return { consuming, publishing: await ofBus(where, checked) }
  },
}
const SIDES = [naive, polybus]

export async function latency(stage: Stage): Promise<Latency> {
  const { broker, url, raw, kind, rounds, seconds, sizes } = stage
  const [bytes] = sizes
  const make = purchasesOf(bytes)
  const fresh = freshNames()
  const where = (): Where => ({ url, raw, channel: fresh(), make })
  const share = Math.min(kind.naive.publish, kind.naive.consume)
  const tried = Math.max(50, Math.ceil((stage.messages ?? kind.messages) * share))
  const tries = await alternating({ ...stage, rounds: Math.min(TRIES, rounds) }, [naive], () => {
    shown(stage, `${broker}, what raw naive can carry`)
    return capacityOf(where(), tried)
  })
  const capacity = median(tries.get(naive) ?? [])
  const runs = PARTS.flatMap((part) =>
    SIDES.map((side) => ({ part, side, rate: capacity * part, count: countOf(capacity * part, seconds) })),
  )
  const results = await alternating(stage, runs, ({ part, side, rate, count }, round) => {
    const title = `${broker}, round ${round} of ${rounds}: ${side.name} at ${part * 100} %`
    shown(stage, title)
    return atRate(side, where(), rate, count, title)
  })
  shown(stage, '')
  const rows = PARTS.map((part): LatencyRow => {
    const [one, two] = runs.filter((run) => run.part === part)
    if (!one || !two) throw new Error('two sides')
    return rowOf(
      one,
      [one, two].map((run) => ({ name: run.side.name, rounds: results.get(run) ?? [] })),
    )
  })
  return { bytes, capacity, rows }
}

export const countOf = (perSecond: number, seconds: number): number => Math.ceil(Math.max(perSecond, SLOWEST) * seconds)

export function rowOf(
  { part, rate, count }: { readonly part: number; readonly rate: number; readonly count: number },
  sides: readonly { readonly name: string; readonly rounds: readonly Delays[] }[],
): LatencyRow {
  const of = (rounds: readonly Delays[], what: keyof Delays): readonly number[] => rounds.map((round) => round[what])
  const ratio = (what: keyof Delays): Ratio =>
    pairedRatio(of(sides[1]?.rounds ?? [], what), of(sides[0]?.rounds ?? [], what))
  return {
    part,
    rate,
    messages: count,
    sides: sides.map(({ name, rounds }) => ({
      name,
      p50: median(of(rounds, 'p50')),
      p99: median(of(rounds, 'p99')),
      late: median(of(rounds, 'late')),
      rounds,
    })),
    p50: ratio('p50'),
    p99: ratio('p99'),
  }
}

/** Messages a second from the first publish to the last handler. */
async function capacityOf(where: Where, messages: number): Promise<number> {
  return between(
    naive,
    where,
    messages,
    (order, tally) => tally.seen(order),
    'what raw naive can carry',
    LIMIT_MS,
    async ({ publish }, tally) => {
      tally.start()
      await publish(0, messages)
      const { ms } = await tally.done
      return (messages / ms) * 1000
    },
  )
}

async function atRate(side: Side, where: Where, rate: number, count: number, title: string): Promise<Delays> {
  const warm = Math.ceil(count * WARM_UP)
  const total = warm + count
  const delays = new Float64Array(total)
  const late = new Float64Array(total)
  const handle = (order: Purchase, tally: Tally): void => {
    delays[indexOf(order)] = performance.now()
    tally.seen(order)
  }
  return between(side, where, total, handle, title, LIMIT_MS + (total / rate) * 1000, async ({ publish }, tally) => {
    const send = (index: number, { due }: Schedule): void => {
      late[index] = performance.now() - due(index)
      publish(index, index + 1).catch(tally.fail)
    }
    const { due } = await openLoop(rate, total, send)
    await tally.done
    const counted = delays.subarray(warm).map((at, index) => at - due(warm + index))
    return { p50: percentile(counted, 50), p99: percentile(counted, 99), late: percentile(late.subarray(warm), 99) }
  })
}

const collect = collector()

/** Opens both ends on a channel of their own, and closes them when all of it was seen and settled. */
async function between<T>(
  side: Side,
  where: Where,
  messages: number,
  handle: (order: Purchase, tally: Tally) => void,
  title: string,
  limitMs: number,
  work: (publishing: Ends['publishing'], tally: Tally) => Promise<T>,
): Promise<T> {
  const { raw, channel } = where
  return onChannel(raw, channel, title, async () => {
    await made(where)
    collect()
    const tally = createTally(messages)
    const { publishing, consuming } = await within(
      LIMIT_MS,
      `${title}, set-up`,
      side.open(where, (order) => handle(order, tally), tally.fail),
    )
    try {
      return await within(limitMs, title, work(publishing, tally))
    } finally {
      await within(LIMIT_MS, `${title}, end`, Promise.all([publishing.close(), consuming.close()]))
      await balanced(raw, channel, 0)
    }
  })
}
