// Rounds of alternating scenarios, medians and spread.
import { arch, availableParallelism, cpus as processors, platform } from 'node:os'

/** In milliseconds: by the clock, and of this process's own processor time. */
export interface Cost {
  readonly ms: number
  readonly cpuMs: number
}
/** Sends `messages` messages through something. Made anew for each round, so that no scenario pays for another's heap. */
export interface Prepared {
  /** Answers what counts. */
  run(messages: number): Promise<Cost>
  close(): Promise<void>
}
export interface Scenario {
  readonly name: string
  readonly what: string
  prepare(): Promise<Prepared>
}
export interface Measured {
  readonly name: string
  readonly what: string
  /** Messages a second. */
  readonly median: number
  readonly lowest: number
  readonly highest: number
  /** Median of the rounds' ratios to the first scenario. */
  readonly ratio: number
  /** Median of the rounds' differences to the first scenario, in microseconds a message. */
  readonly overheadMicros: number
  /** This process's own microseconds a message, a median. */
  readonly cpuMicros: number
  /** Bytes of heap after the last round. */
  readonly heapBytes: number
}

export function describeMachine(): { cpu: string; cores: number; node: string; platform: string } {
  return {
    cpu: processors()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    node: process.version,
    platform: `${platform()} ${arch()}`,
  }
}

export async function rounds(
  scenarios: readonly Scenario[],
  messages: number,
  count: number,
  progress: (text: string) => void,
): Promise<readonly Measured[]> {
  const rates = scenarios.map((): number[] => [])
  const cpus = scenarios.map((): number[] => [])
  const heaps = scenarios.map(() => 0)
  // The first round warms the code up, and each run its own objects.
  for (let round = 0; round <= count; round++) {
    for (const [index, scenario] of scenarios.entries()) {
      progress(`\r\u001b[Kround ${round}/${count}: ${scenario.name}`)
      const { run, close } = await scenario.prepare()
      await run(Math.ceil(messages / 4))
      const { ms, cpuMs } = await run(messages)
      if (round > 0) {
        rates[index]?.push((messages / ms) * 1000)
        cpus[index]?.push((cpuMs / messages) * 1000)
      }
      heaps[index] = process.memoryUsage().heapUsed
      await close()
    }
  }
  progress('\r\u001b[K')
  const base = rates[0] ?? []
  return scenarios.map(({ name, what }, index) => {
    const own = rates[index] ?? []
    return {
      name,
      what,
      median: median(own),
      lowest: Math.min(...own),
      highest: Math.max(...own),
      ratio: median(own.map((rate, round) => rate / (base[round] ?? rate))),
      overheadMicros: median(own.map((rate, round) => 1e6 / rate - 1e6 / (base[round] ?? rate))),
      cpuMicros: median(cpus[index] ?? []),
      heapBytes: heaps[index] ?? 0,
    }
  })
}

/** What it costs. */
export async function timed(run: () => Promise<void>): Promise<Cost> {
  const started = performance.now()
  const before = process.cpuUsage()
  await run()
  const { user, system } = process.cpuUsage(before)
  return { ms: performance.now() - started, cpuMs: (user + system) / 1000 }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}
