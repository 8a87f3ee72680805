import type { Adapter, Capabilities } from '@polybus/core'
import type { Faults, Foreign, Harness } from './harness.ts'

/** What decides whether a case applies. */
export interface Facts {
  readonly adapter: Adapter
  /** Of a channel without keys. */
  readonly plain: Capabilities
  /** Of a channel with keys. */
  readonly keyed: Capabilities
  readonly faults: Faults
  readonly foreign: Foreign | undefined
  readonly harness: Harness
}
