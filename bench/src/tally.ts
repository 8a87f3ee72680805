// Who consumes counts here. The clock runs from the start, when the consumer has joined (or from the first message, where that
// comes before), to the last message; one that comes twice, or that nobody sent, fails the run.
import type { Cost } from './measure.ts'
import { indexOf, type Purchase } from './purchases.ts'

export interface Timed extends Cost {
  readonly messages: number
}
export interface Tally {
  start(): void
  seen(order: Purchase): void
  fail(error: unknown): void
  /** When all were seen. */
  readonly done: Promise<Timed>
}

export function createTally(messages: number): Tally {
  const marks = new Uint8Array(messages)
  let count = 0
  let since: { readonly at: number; readonly cpu: NodeJS.CpuUsage } | undefined
  let resolve: (timed: Timed) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const done = new Promise<Timed>((good, bad) => {
    resolve = good
    reject = bad
  })
  // Whoever waits for it hears of it.
  done.catch(() => undefined)
  const start = (): void => {
    since ??= { at: performance.now(), cpu: process.cpuUsage() }
  }
  return {
    start,
    seen(order) {
      if (!since) start()
      const index = indexOf(order)
      if (marks[index] !== 0) return reject(new Error(`${order.id} came twice, or was never sent`))
      marks[index] = 1
      if (++count < messages || !since) return
      const { user, system } = process.cpuUsage(since.cpu)
      resolve({ messages, ms: performance.now() - since.at, cpuMs: (user + system) / 1000 })
    },
    fail: reject,
    done,
  }
}
