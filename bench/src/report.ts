// What a run has measured, of one broker; its last line with --json.
import type { KindName } from './brokers/index.ts'
import type { Costs } from './cost.ts'
import type { Idle } from './idle.ts'
import type { Latency } from './latency.ts'
import type { describeMachine } from './measure.ts'
import type { Memory } from './memory.ts'
import type { Scaling } from './scaling.ts'
import type { Size } from './throughput.ts'
import type { Wire } from './wire.ts'

/** What can be measured on a broker beside the throughput; each is an option of the command. */
export const PARTS = ['latency', 'idle', 'scaling', 'cost', 'memory', 'wire'] as const
export type Part = (typeof PARTS)[number]

export interface Report {
  /** `memory`: the broker in this process, of which only costs are measured. */
  readonly broker: KindName | 'memory'
  readonly server: string
  readonly client: string
  readonly rounds: number
  /** The throughput; empty where it was not measured. */
  readonly sizes: readonly Size[]
  readonly latency?: Latency
  readonly idle?: Idle
  readonly scaling?: Scaling
  readonly cost?: Costs
  readonly memory?: Memory
  readonly wire?: Wire
}
export interface Result {
  readonly machine: ReturnType<typeof describeMachine>
  readonly at: string
  readonly reports: readonly Report[]
}
