import type { Adapter } from 'polybus'

export interface BrokerAccess {
  /** For `connect`. */
  readonly broker: string | Adapter
  /** Writes a body to a channel, past the bus. */
  produce(channel: string, body: string): Promise<void>
  close(): Promise<void>
}
