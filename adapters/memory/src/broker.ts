// The broker: what all adapters of one name share.
import { invalid, systemClock } from '@polybus/core'
import type { CheckedOptions, MemoryOptions } from './options.ts'
import type { Broker } from './state.ts'
import { capabilitiesOf } from './capabilities.ts'

/** Brokers with a name live as long as the process: a bus that is closed and opened again finds its messages. */
const named = new Map<string, { readonly broker: Broker; readonly given: MemoryOptions }>()

/** A new broker, or the one of that name. Options belong to the broker: whoever comes later gives none, or the same. */
export function openBroker(options: CheckedOptions): Broker {
  const { name, given } = options
  if (name === undefined) return createBroker(options)
  const known = named.get(name)
  if (!known) {
    const broker = createBroker(options)
    named.set(name, { broker, given })
    return broker
  }
  checkSame(known.broker, options)
  return known.broker
}

function createBroker({ name, clock = systemClock(), limits, abilities }: CheckedOptions): Broker {
  return {
    name,
    clock,
    limits,
    abilities,
    capabilities: capabilitiesOf(abilities, limits.leaseMs),
    channels: new Map(),
    faults: {
      down: false,
      paused: false,
      stalled: false,
      lateMs: 0,
      loseAnswers: 0,
      refusals: new Set(),
      connections: new Set(),
      buffer: [],
    },
  }
}

function checkSame(broker: Broker, { given, clock, abilities }: CheckedOptions): void {
  const differs = (field: string): Error =>
    invalid(`memory().${field}`, `the broker '${broker.name}' already runs in this process with another one.`)
  if (clock && clock !== broker.clock) throw differs('clock')
  for (const key of Object.keys(broker.limits) as (keyof Broker['limits'])[])
    if (given[key] !== undefined && given[key] !== broker.limits[key]) throw differs(key)
  for (const key of Object.keys(given.abilities ?? {}) as (keyof Broker['abilities'])[])
    if (abilities[key] !== broker.abilities[key]) throw differs(`abilities.${key}`)
}
