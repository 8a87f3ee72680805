// A producer that does not use Polybus: it writes straight to the broker, so that nothing checks what it writes.
import { memory } from '@polybus/memory'
import type { Adapter } from 'polybus'

export interface BrokerAccess {
  /** For `connect`. */
  readonly broker: string | Adapter
  /** Writes a body to a channel, past the bus. */
  produce(channel: string, body: string): Promise<void>
}

/** How to get at a broker from the side. Only memory needs the bus's own adapter for it. */
export function accessBroker(url: string): BrokerAccess {
  if (url.startsWith('memory:')) return accessMemory(url)
  return {
    broker: url,
    produce() {
      throw new Error(
        `This example has no foreign producer for '${url.split(':')[0] ?? ''}:' yet. Use --broker memory:`,
      )
    },
  }
}

function accessMemory(url: string): BrokerAccess {
  const broker = memory(url)
  return {
    broker,
    async produce(channel, body) {
      broker.faults.injectForeign(channel, { body: Buffer.from(body) })
    },
  }
}
