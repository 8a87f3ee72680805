/** Counts what is through, for one who waits until it is so many. */
export interface Gate {
  readonly count: number
  pass(): void
  /** Whoever waits, now or later, gets it. */
  fail(error: unknown): void
  reach(count: number): Promise<void>
}

export function createGate(): Gate {
  let count = 0
  let wanted = Infinity
  let failure: Error | undefined
  let resolve: () => void = () => {}
  let reject: (error: unknown) => void = () => {}
  return {
    get count() {
      return count
    },
    pass() {
      if (++count < wanted) return
      wanted = Infinity
      resolve()
    },
    fail(error) {
      failure ??= error instanceof Error ? error : new Error(String(error))
      reject(failure)
    },
    reach: (target) =>
      new Promise((good, bad) => {
        if (failure) bad(failure)
        else if (count >= target) good()
        else [wanted, resolve, reject] = [target, good, bad]
      }),
  }
}
