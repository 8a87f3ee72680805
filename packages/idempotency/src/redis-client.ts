// The user's client as the store sees it: few methods, calls that end, and one command for calls that come together.
import { type Clock, describeError, PolybusError } from '@polybus/core'
import type { Script } from './redis-scripts.ts'

/** What is used of a client: those of ioredis (`Redis` and `Cluster`) fit. */
export interface RedisClient {
  eval(script: string, keyCount: number, ...args: (string | number)[]): Promise<unknown>
  /** Without it every call carries its script. */
  evalsha?(sha: string, keyCount: number, ...args: (string | number)[]): Promise<unknown>
  readonly isCluster?: boolean
  /** A cluster's servers, each with a part of the keys. */
  nodes?(role: 'master'): readonly RedisClient[]
  readonly options?: { readonly keyPrefix?: string | undefined }
}

type Args = readonly (string | number)[]
/** Rejects with `STORE_UNAVAILABLE`, within the time limit. */
export type Evaluate = (script: Script, keys: readonly string[], args: Args) => Promise<unknown>

/**
 * Scripts through a client, each within `limitMs` whatever the client does: ioredis keeps commands while it is offline, for as
 * long as that takes. What was given up may still be done when the client is back; until it is answered nothing more is handed over,
 * or what a client keeps would have no limit.
 */
export function createEvaluate(client: RedisClient, limitMs: number, clock: Pick<Clock, 'timer'>): Evaluate {
  let givenUp = 0
  const ask = async (
    { text, sha }: Script,
    args: [number, ...(string | number)[]],
    isLate: () => boolean,
  ): Promise<unknown> => {
    if (!client.evalsha) return client.eval(text, ...args)
    try {
      return await client.evalsha(sha, ...args)
    } catch (error) {
      // A server that was started anew, or another one, does not know it yet: it has done nothing.
      if (isLate() || !(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
    }
    return client.eval(text, ...args)
  }
  return (script, keys, args) =>
    new Promise((resolve, reject) => {
      if (givenUp > 0) return reject(unavailable('it has still not answered'))
      let late = false
      const timer = clock.timer(limitMs, () => {
        late = true
        givenUp++
        reject(unavailable(`it has not answered within ${limitMs} ms`))
      })
      const answered = (): void => {
        timer.cancel()
        if (late) givenUp--
      }
      ask(script, [keys.length, ...keys, ...args], () => late).then(
        (value) => {
          answered()
          resolve(value)
        },
        (error: unknown) => {
          answered()
          reject(asUnavailable(error))
        },
      )
    })
}

export interface TogetherOptions {
  readonly clock: Pick<Clock, 'turn'>
  /** How many go in one command. */
  readonly atOnce: number
  /** What the script gets once, before all of them. */
  readonly first?: Args
}
interface Pending {
  readonly keys: readonly string[]
  readonly args: Args
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: unknown) => void
}

/**
 * A script that takes many records at once: the calls of a turn of the event loop become one command, those that come while it
 * is out the next one, and each gets its own answer.
 */
export function createTogether(
  evaluate: Evaluate,
  script: Script,
  { clock, atOnce, first = [] }: TogetherOptions,
): (keys: readonly string[], args: Args) => Promise<unknown> {
  let waiting: Pending[] = []
  let working = false
  const work = async (): Promise<void> => {
    working = true
    while (waiting.length > 0) {
      // Handlers that one answer woke end in the same turn.
      await clock.turn()
      const calls = waiting
      waiting = []
      if (calls.length <= atOnce) await send(calls)
      else {
        const sent: Promise<void>[] = []
        for (let from = 0; from < calls.length; from += atOnce) sent.push(send(calls.slice(from, from + atOnce)))
        await Promise.all(sent)
      }
    }
    working = false
  }
  const send = async (calls: readonly Pending[]): Promise<void> => {
    const keys: string[] = []
    const args = [...first]
    for (const call of calls) {
      keys.push(...call.keys)
      args.push(...call.args)
    }
    try {
      const answers = (await evaluate(script, keys, args)) as readonly unknown[]
      for (const [index, { resolve, reject }] of calls.entries()) {
        const answer = answers[index]
        if (answer instanceof Error) reject(asUnavailable(answer))
        else resolve(answer)
      }
    } catch (error) {
      for (const { reject } of calls) reject(error)
    }
  }
  return (keys, args) =>
    new Promise((resolve, reject) => {
      waiting.push({ keys, args, resolve, reject })
      if (!working) void work()
    })
}

const unavailable = (text: string, cause?: unknown): PolybusError =>
  new PolybusError('STORE_UNAVAILABLE', `The idempotency store in Redis cannot be used: ${text}`, { cause })

/** ioredis hangs the command on its errors: passwords and keys, for every logger that shows causes. */
function asUnavailable(error: unknown): PolybusError {
  if (typeof error === 'object' && error !== null) Reflect.deleteProperty(error, 'command')
  return unavailable(describeError(error).message, error)
}
