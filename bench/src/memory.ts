// Memory over a long run on a real broker, in a process of its own.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { lineThrough } from './line.ts'
import { programOf } from './program.ts'
import { freshNames } from './rounds.ts'
import { shown, type Stage } from './stage.ts'
import { balanced, onChannel } from './trial.ts'

export interface MemoryTask {
  readonly url: string
  readonly channel: string
  readonly bytes: number
  readonly messages: number
  /** Between samples. */
  readonly step: number
}
export interface MemoryTold {
  readonly sample: Sample
  /** How many came more than once so far. */
  readonly again: number
}
export interface Sample {
  readonly messages: number
  /** Bytes. */
  readonly heap: number
  readonly rss: number
}
export interface Trend {
  /** Bytes a message, by least squares over the second half of the samples. */
  readonly slope: number
  /** By which that line rises over the second half. */
  readonly rise: number
  /** Above this it is not flat. */
  readonly limit: number
  readonly flat: boolean
}
export interface Memory {
  readonly bytes: number
  readonly messages: number
  /** Handled more than once: allowed, and told. */
  readonly again: number
  readonly samples: readonly Sample[]
  readonly heap: Trend
  readonly rss: Trend
}

const MESSAGES = 1_000_000
const SAMPLES = 20
/** What a line may rise by over the second half and still count as flat: this part of its mean, and this much in any case. */
export const FLAT_PART = 0.05
export const FLAT_BYTES: number = 2 ** 20

export async function memoryOver(stage: Stage): Promise<Memory> {
  const { broker, url, raw, sizes } = stage
  const [bytes] = sizes
  const step = Math.ceil((stage.messages ?? MESSAGES) / SAMPLES)
  const messages = step * SAMPLES
  const channel = freshNames()()
  const title = `${broker}, memory`
  shown(stage, title)
  return onChannel(raw, channel, title, async () => {
    const samples: Sample[] = []
    let again = 0
    await told({ url, channel, bytes, messages, step }, (told) => {
      samples.push(told.sample)
      again = told.again
      const heap = (told.sample.heap / 1e6).toFixed(1)
      shown(stage, `${title}: ${told.sample.messages} of ${messages} messages, ${heap} MB of heap`)
    })
    shown(stage, '')
    if (samples.length !== SAMPLES) throw new Error(`${samples.length} samples, not ${SAMPLES}`)
    await balanced(raw, channel, 0)
    return { bytes, messages, again, samples, heap: trendOf(samples, 'heap'), rss: trendOf(samples, 'rss') }
  })
}

/** Runs it to its end. */
async function told(task: MemoryTask, hear: (told: MemoryTold) => void): Promise<void> {
  const child = fork(programOf('memory-run'), [JSON.stringify(task)], { execArgv: [] })
  child.on('message', hear)
  const [code] = (await once(child, 'exit')) as [code: number | null]
  if (code !== 0) throw new Error(`the process ended with ${code}`)
}

export function trendOf(samples: readonly Sample[], what: 'heap' | 'rss'): Trend {
  const half = samples.slice(Math.floor(samples.length / 2))
  const { slope, mean } = lineThrough(half.map((sample) => [sample.messages, sample[what]]))
  const rise = slope * ((half.at(-1)?.messages ?? 0) - (half[0]?.messages ?? 0))
  const limit = Math.max(FLAT_BYTES, mean * FLAT_PART)
  return { slope, rise, limit, flat: rise <= limit }
}
