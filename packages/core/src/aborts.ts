// Who waits with a signal that lives long, such as a feed's. Its own listeners stand in a Map: see chain.ts for what that costs
// where thousands come and go a second. So each signal is listened to once, and who waits stands in a chain.
import { type Chain, createChain, joinChain, leaveChain, type Linked, shiftChain } from './chain.ts'

export interface Heeding extends Linked<Heeding> {
  /** Called once, unless it heeds no more. */
  readonly abort: () => void
}

const WAITING: unique symbol = Symbol('polybus.waiting')
type Signal = AbortSignal & { [WAITING]?: Chain<Heeding> }

/** Calls `abort` when the signal aborts. One that has aborted calls nobody. */
export function heedAbort(signal: Signal, one: Heeding): void {
  joinChain(signal[WAITING] ?? listen(signal), one)
}

/** Of one that heeds this signal. */
export function heedNoMore(signal: Signal, one: Heeding): void {
  const waiting = signal[WAITING]
  if (waiting) leaveChain(waiting, one)
}

function listen(signal: Signal): Chain<Heeding> {
  const waiting = createChain<Heeding>()
  signal[WAITING] = waiting
  signal.addEventListener(
    'abort',
    () => {
      // One may make others stop waiting.
      for (let one = shiftChain(waiting); one; one = shiftChain(waiting)) one.abort()
    },
    { once: true },
  )
  return waiting
}
