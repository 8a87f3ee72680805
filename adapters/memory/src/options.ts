import { checkKeys, checkName, type Clock, invalid, optionalInteger } from '@polybus/core'
import type { Limits, MemoryAbilities } from './state.ts'
import { ALL_ABILITIES } from './capabilities.ts'

export interface MemoryOptions {
  /** Adapters of one name share a broker, for as long as the process lives. Default: a broker of its own. */
  readonly name?: string | undefined
  /** Messages kept a channel, those included that every group has finished: history for later groups and `rewind`. The oldest finished go first. Default 1,000. */
  readonly retention?: number | undefined
  /** Likewise in bytes. Default 64 MiB. */
  readonly retentionBytes?: number | undefined
  /**
   * Messages that some group has not finished, a channel; also a group's retries, and its dead letters. Past it writing
   * fails with `BROKER_BUSY`: nothing unfinished is ever dropped. Default: `retention` where that is given, else 1,000,000.
   */
  readonly maxBacklog?: number | undefined
  /** Likewise in bytes. Default: `retentionBytes` where that is given, else 256 MiB. */
  readonly maxBacklogBytes?: number | undefined
  /** How long a delivery is its consumer's unless extended; null: as long as its connection lives. Default 30,000; with `singleSettle: false` null. */
  readonly leaseMs?: number | null | undefined
  /** Default: core's system clock. */
  readonly clock?: Clock | undefined
  readonly abilities?: Partial<MemoryAbilities> | undefined
}

/** Checked, with defaults. `given` tells apart what was asked for. */
export interface CheckedOptions {
  readonly name: string | undefined
  readonly clock: Clock | undefined
  readonly limits: Limits
  readonly abilities: MemoryAbilities
  readonly given: MemoryOptions
}

const KEYS = ['name', 'retention', 'retentionBytes', 'maxBacklog', 'maxBacklogBytes', 'leaseMs', 'clock', 'abilities']
const NUMBERS = ['retention', 'retentionBytes', 'maxBacklog', 'maxBacklogBytes', 'leaseMs'] as const

/** Options, a name, or a URL such as `memory:shop?leaseMs=5000`. */
export function checkOptions(options: string | MemoryOptions = {}): CheckedOptions {
  const given = typeof options === 'string' ? fromUrl(options) : options
  checkKeys(given, KEYS, 'memory()')
  if (given.name !== undefined) checkName(given.name, 'memory().name')
  const abilities = given.abilities ?? {}
  checkKeys(abilities, Object.keys(ALL_ABILITIES), 'memory().abilities')
  for (const [ability, has] of Object.entries(abilities))
    if (typeof has !== 'boolean') throw invalid(`memory().abilities.${ability}`, 'expected true or false.')
  const all: MemoryAbilities = { ...ALL_ABILITIES, ...abilities }
  const number = (key: (typeof NUMBERS)[number], min: number): number | undefined =>
    optionalInteger(given[key], `memory().${key}`, min, key === 'leaseMs' ? 2 ** 31 - 1 : undefined)
  const retention = number('retention', 0)
  const retentionBytes = number('retentionBytes', 0)
  const leaseMs = given.leaseMs === null ? null : number('leaseMs', 1)
  if (!all.singleSettle && typeof leaseMs === 'number')
    throw invalid('memory().leaseMs', 'with singleSettle: false lanes are held by membership. Leave it out.')
  return {
    name: given.name,
    clock: given.clock,
    limits: {
      retention: retention ?? 1000,
      retentionBytes: retentionBytes ?? 64 * 2 ** 20,
      maxBacklog: number('maxBacklog', 1) ?? retention ?? 1_000_000,
      maxBacklogBytes: number('maxBacklogBytes', 1) ?? retentionBytes ?? 256 * 2 ** 20,
      leaseMs: all.singleSettle ? (leaseMs === undefined ? 30_000 : leaseMs) : null,
    },
    abilities: all,
    given,
  }
}

function fromUrl(text: string): MemoryOptions {
  const [path = '', query = ''] = text.replace(/^memory:(\/\/)?/, '').split('?', 2)
  const options: Record<string, unknown> = path === '' ? {} : { name: path }
  for (const [key, value] of new URLSearchParams(query)) {
    if (!NUMBERS.includes(key as (typeof NUMBERS)[number]))
      throw invalid(`memory: URL, ${key}`, `unknown option. Known: ${NUMBERS.join(', ')}.`)
    options[key] = key === 'leaseMs' && value === 'null' ? null : Number(value)
  }
  return options
}
