// The memory adapter under the suite. Each namespace is a broker of its own, so cases may run beside each other.
import { type Adapter, PolybusError } from '@polybus/core'
import { memory, type MemoryAbilities, type MemoryAdapter, type MemoryFaults } from '@polybus/memory'
import type { Faults, Foreign, OpenOptions } from './harness.ts'

export const name = 'memory'
export const parallel = 8
export const abilities: readonly (keyof MemoryAbilities)[] = [
  'delay',
  'atomicMove',
  'singleSettle',
  'renew',
  'count',
  'releaseHeaders',
  'orderedBatch',
]

// The suite hands adapters back through `crash`, wrapped for watching: the wrapped one still answers for `faults`.
const isMemory = (adapter: Adapter): adapter is MemoryAdapter => 'faults' in adapter

const LEASE_MS = 1000
/** Where it cannot be renewed, what a slow machine does must still fit in. */
const FIXED_LEASE_MS = 3000

export function open(namespace: string, { without }: OpenOptions): MemoryAdapter {
  const taken = Object.fromEntries(without.map((ability) => [ability, false])) as Partial<MemoryAbilities>
  // As a log, it holds lanes by membership and has no lease.
  return memory({
    name: namespace,
    abilities: taken,
    ...(taken.singleSettle !== false && { leaseMs: taken.renew === false ? FIXED_LEASE_MS : LEASE_MS }),
  })
}

/** Channels have the names that they have in the namespace of the case. */
function control(namespace: string): MemoryFaults {
  const adapter = memory(namespace)
  const connecting = adapter.connect({
    signal: new AbortController().signal,
    namespace,
    service: 'suite',
    topology: 'none',
  })
  // Only the namespace matters: faults work on a broker that is down, too.
  connecting.catch(() => {})
  return adapter.faults
}

export function faults(namespace: string): Faults {
  let made: MemoryFaults | undefined
  // When it is first used the case has opened the broker with its own options.
  const broker = (): MemoryFaults => (made ??= control(namespace))
  return {
    down: () => broker().down(),
    up: () => broker().up(),
    cut: () => broker().cut(),
    // It lives in this process, so its death is told apart by nothing.
    kill: () => broker().down(),
    restart: () => broker().up(),
    pause: () => broker().pause(),
    resume: () => broker().resume(),
    crash(adapter) {
      if (!isMemory(adapter)) throw new PolybusError('UNSUPPORTED', 'Only an adapter of memory() can be crashed here.')
      adapter.faults.crash()
    },
    refuse: (when) => broker().refuse(when),
    loseAnswer: (times) => broker().loseAnswer(times),
    loseLease: (match) => broker().loseLease(match),
    stall: (on) => broker().stall(on),
    deleteGroup: (channel, group) => broker().deleteGroup(channel, group),
    deleteChannel: (channel) => broker().deleteChannel(channel),
  }
}

export function foreign(namespace: string): Foreign {
  let made: MemoryFaults | undefined
  const broker = (): MemoryFaults => (made ??= control(namespace))
  return {
    send: (channel, message) => broker().injectForeign(channel, message),
    deadLetters: (channel, group) => broker().deadLetters(channel, group),
  }
}
