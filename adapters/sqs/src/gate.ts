import type { PolybusError } from '@polybus/core'
import { aborted } from './errors.ts'

export interface Gate {
  /** Runs it as soon as there is a place; whoever gives up before that has certainly not asked. */
  pass<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T>
  /** Nobody answers: those that wait need not find that out one after the other. */
  shut(error: PolybusError): void
}

/**
 * Requests under way at once. The time-out of one begins when it leaves: a slow server that is asked for more than it can
 * answer within it would be asked again and again, and answer nothing in time any more.
 */
export function createGate(width: number): Gate {
  const waiting = new Set<{ readonly start: () => void; readonly refuse: (error: PolybusError) => void }>()
  let active = 0

  const leave = (): void => {
    active--
    const [next] = waiting
    next?.start()
  }
  return {
    pass(signal, run) {
      return new Promise((resolve, reject) => {
        const start = (): void => {
          forget()
          active++
          run().finally(leave).then(resolve, reject)
        }
        const refuse = (error: PolybusError): void => {
          forget()
          reject(error)
        }
        const onAbort = (): void => refuse(aborted('no'))
        const entry = { start, refuse }
        const forget = (): void => {
          waiting.delete(entry)
          signal.removeEventListener('abort', onAbort)
        }
        if (active < width) return start()
        waiting.add(entry)
        signal.addEventListener('abort', onAbort)
      })
    },
    shut(error) {
      for (const { refuse } of waiting) refuse(error)
    },
  }
}
