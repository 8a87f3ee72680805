import { loadHarness } from './harness.ts'
import { runCase, schedule, select } from './run.ts'
import type { Mode } from './env.ts'

export interface ConformanceOptions {
  /** The adapter's name, for the names of the tests. */
  readonly name: string
  /** The module that exports a {@link Harness}; child processes import it as well. */
  readonly harness: URL
  /** Ids or numbers of cases, such as `['4', '6c']`. Default: all. */
  readonly only?: readonly string[] | undefined
  /** `full` uses the sizes and durations of conformance.md. Default `quick`. */
  readonly mode?: Mode | undefined
  /** Abilities to take away, of those that the harness names. */
  readonly without?: readonly string[] | undefined
}

/**
 * Registers the conformance suite as vitest tests. What does not apply to the adapter is skipped with its reason.
 *
 * @throws {Error} where the module is no harness, or `only` names a case that does not exist.
 * @example
 * // conformance.test.ts
 * await runConformance({ name: 'kafka', harness: new URL('./harness.ts', import.meta.url) })
 */
export async function runConformance({ name, harness: url, only, mode, without }: ConformanceOptions): Promise<void> {
  const { describe, test } = await import('vitest')
  const harness = await loadHarness(url)
  const title = without?.length ? `${name} without ${without.join(', ')}` : name
  describe(`conformance of ${title}`, () => {
    const { together, alone } = schedule(select(only))
    // One sequential test among concurrent ones would have all before it end first.
    for (const one of [...together, ...alone]) {
      const register = (harness.parallel ?? 1) > 1 && !one.alone ? test.concurrent : test
      register(
        `${name}: ${one.id} ${one.title}`,
        { timeout: 180_000 + (one.limitMs?.[mode ?? 'quick'] ?? 0) },
        async ({ skip }) => {
          const { outcome, reason } = await runCase(harness, one, { mode, without })
          if (outcome === 'skipped') skip(reason)
          if (outcome === 'failed') throw new Error(reason)
        },
      )
    }
  })
}

/** The harness of the memory adapter, to run the suite against it. */
export const memoryHarness: URL = new URL(
  `./harness-memory.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`,
  import.meta.url,
)
