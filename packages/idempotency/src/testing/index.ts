// The suite that every idempotency store must pass, for stores of your own too.
import { randomUUID } from 'node:crypto'
import { claimCases } from './claims.ts'
import { commonCases } from './common.ts'
import { runStoreCase, type StoreCase } from './env.ts'
import { loadStoreHarness } from './harness.ts'
import { parkingCases } from './parking.ts'
import { serverCases } from './server.ts'
import { transactionCases } from './transactions.ts'

export type { OpenOptions, OpenStore, ServerFaults, StoreHarness } from './harness.ts'
export type { StoreCase } from './env.ts'

/** Those that kill the server last. */
export const storeCases: readonly StoreCase[] = [
  ...claimCases,
  ...commonCases,
  ...transactionCases,
  ...parkingCases,
  ...serverCases,
]

export interface StoreConformanceOptions {
  /** The module that exports a {@link StoreHarness}; child processes import it as well. */
  readonly harness: URL
  /** Ids of cases, such as `['c1']`. Default: all. */
  readonly only?: readonly string[] | undefined
}

/**
 * Registers the suite as vitest tests, one a case, each in a namespace of its own. What does not apply to the store is skipped
 * with its reason.
 *
 * @throws {Error} where the module is no harness.
 * @example
 * // my-store.test.ts
 * await runStoreConformance({ harness: new URL('./my-store-harness.ts', import.meta.url) })
 */
export async function runStoreConformance({ harness: url, only }: StoreConformanceOptions): Promise<void> {
  const { describe, test } = await import('vitest')
  const harness = await loadStoreHarness(url)
  describe(`store conformance of ${harness.name}`, () => {
    for (const one of storeCases) {
      if (only && !only.includes(one.id)) continue
      if (one.kind && one.kind !== harness.kind) continue
      test(`${harness.name}: ${one.id} ${one.title}`, { timeout: 120_000 }, async ({ skip }) => {
        const reason = one.needs?.(harness)
        if (reason !== undefined) skip(reason)
        await runStoreCase(harness, url, one, namespaceOf(one))
      })
    }
  })
}

/** Fit for the name of a table, a file or a key. */
const namespaceOf = ({ id }: StoreCase): string => `${id}_${randomUUID().slice(0, 8)}`
