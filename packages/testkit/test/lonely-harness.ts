// Says that processes share its broker, and lies: each process has its own. The suite must find out.
import type { Adapter } from '@polybus/core'
import { memory } from '@polybus/memory'

export const name = 'lonely'
export const timing = { patienceMs: 1000 }

export function open(namespace: string): Adapter {
  const adapter = memory(namespace)
  const { capabilities } = adapter
  return { ...adapter, capabilities: (channel) => ({ ...capabilities(channel), processes: true }) }
}
