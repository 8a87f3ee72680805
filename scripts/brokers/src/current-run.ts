/** Names the test run for child processes. */
export const RUN_VARIABLE = 'POLYBUS_TEST_RUN'

export function currentRun(): string | undefined {
  return process.env[RUN_VARIABLE] || undefined
}

/** An instance's name within the run, if any. */
export function scoped(instance: string): string {
  const run = currentRun()
  return run === undefined ? instance : `${run}-${instance}`
}
