// What the tests of one adapter alone share: adapters that end with their test, and waiting for a condition.
import { randomUUID } from 'node:crypto'
import { type Adapter, type Call, type Clock, type Delivery, systemClock, type WireMessage } from '@polybus/core'
import { wireMessage } from './driver.ts'
import { waitFor } from './wait.ts'

export const clock: Clock = systemClock()
/** One that never aborts. */
export const call: Call = { signal: new AbortController().signal }

export interface AdapterBench<A extends Adapter, O> {
  /** No other test has it. */
  readonly namespace: string
  open(options?: Partial<O>): A
  connect(options?: Partial<O>, topology?: 'create' | 'verify' | 'none'): Promise<A>
}

/**
 * Adapters of one test, in a namespace of its own.
 *
 * @param make with the options that this adapter's tests always give.
 * @param onFinished what ends with the test: vitest's `onTestFinished`.
 * @example
 * const { connect } = adapterBench((more: Partial<RedisOptions>) => redis({ url, ...more }), onTestFinished)
 */
export function adapterBench<A extends Adapter, O>(
  make: (options: Partial<O>) => A,
  onFinished: (end: () => Promise<void>) => void,
): AdapterBench<A, O> {
  const namespace = `t${randomUUID().slice(0, 8)}`
  const open = (options: Partial<O> = {}): A => {
    const adapter = make(options)
    onFinished(() => adapter.close())
    return adapter
  }
  return {
    namespace,
    open,
    async connect(options, topology = 'create') {
      const adapter = open(options)
      await adapter.connect({ ...call, namespace, service: 'test', topology })
      return adapter
    },
  }
}

/** Waits until the condition holds; rejects with `what` after the time-out, 10 s unless told otherwise. */
export const until = (
  condition: () => unknown,
  what: string | (() => string | Promise<string>),
  timeoutMs = 10_000,
): Promise<void> => waitFor(clock, condition, what, { timeoutMs, signal: call.signal })

/** With ids from `m-0` on. */
export const numbered = (count: number, more: Partial<WireMessage> = {}): WireMessage[] =>
  Array.from({ length: count }, (_, n) => wireMessage({ id: `m-${n}`, ...more }))

export const ids = (deliveries: readonly Delivery[]): string[] => deliveries.map(({ message }) => message.id ?? '')
