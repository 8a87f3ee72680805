/** One after the other, in order of asking. */
export interface Turns {
  /** Resolves when it is ours, with how to hand it on. Rejects when the signal aborts first. */
  take(signal?: AbortSignal): Promise<() => void>
}

export function createTurns(): Turns {
  const waiting: (() => void)[] = []
  let taken = false

  const next = (): void => {
    const first = waiting.shift()
    if (first) first()
    else taken = false
  }
  return {
    take(signal) {
      if (!taken) {
        taken = true
        return Promise.resolve(next)
      }
      return new Promise((resolve, reject) => {
        const ours = (): void => {
          signal?.removeEventListener('abort', gone)
          resolve(next)
        }
        const gone = (): void => {
          waiting.splice(waiting.indexOf(ours), 1)
          reject(signal?.reason as Error)
        }
        waiting.push(ours)
        signal?.addEventListener('abort', gone, { once: true })
      })
    },
  }
}
