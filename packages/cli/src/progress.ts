// What commands that act on many letters share: progress, what was done, and the exit code.
import { type Acted, describeError, PolybusError } from '@polybus/core'
import { DONE, type Given, INCOMPLETE, type Io, UsageError } from './command.ts'

const EVERY_MS = 100

/** @param total Undefined where nobody knows. */
export function progressOf(io: Io, verb: string, total: number | undefined): (sofar: Acted) => void {
  let next = 0
  return ({ done, failed }) => {
    const now = io.clock.now()
    if (!io.interactive || now < next) return
    next = now + EVERY_MS
    const of = total === undefined || total < done + failed ? '' : ` of ${total}  ${bar((done + failed) / total)}`
    io.status(`${verb} ${done}${of}${failed > 0 ? `  failed ${failed}` : ''}`)
  }
}

const WIDTH = 30
const bar = (share: number): string => {
  const full = Math.round(share * WIDTH)
  return `[${'#'.repeat(full)}${'.'.repeat(WIDTH - full)}]`
}

/**
 * Runs it, and says what was done, also where it ended early.
 *
 * @param verb What happened to each, such as `replayed`.
 */
export async function act(
  given: Given,
  io: Io,
  verb: string,
  total: number | undefined,
  run: (options: { signal: AbortSignal; progress: (sofar: Acted) => void }) => Promise<Acted>,
): Promise<number> {
  let sofar: Acted = { done: 0, failed: 0 }
  const show = progressOf(io, verb, total)
  const progress = (now: Acted): void => {
    sofar = now
    show(now)
  }
  try {
    sofar = await run({ signal: io.signal, progress })
  } catch (error) {
    io.status('')
    if (PolybusError.is(error, 'ABORTED') || io.signal.aborted) {
      io.say(`Stopped. ${verb} ${sofar.done}, failed ${sofar.failed}; the rest is where it was.`)
      return INCOMPLETE
    }
    if (sofar.done + sofar.failed === 0) throw error
    const { name, message } = describeError(error)
    const what = error instanceof UsageError ? message : `${name}: ${message}`
    io.say(`polybus: ${what} ${verb} ${sofar.done}, failed ${sofar.failed}; the rest is where it was.`)
    return INCOMPLETE
  }
  io.status('')
  const { done, failed } = sofar
  await io.out(given.flag('json') ? JSON.stringify({ done, failed }) : `${verb} ${done}, failed ${failed}`)
  return failed > 0 ? INCOMPLETE : DONE
}
