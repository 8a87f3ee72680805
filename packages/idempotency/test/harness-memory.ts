import { memoryStore, type MemoryStore } from '../src/index.ts'
import type { OpenOptions, OpenStore } from '../src/testing/index.ts'

export const name = 'memory'
export const kind = 'claim'
export const parks = true
export const shared = false
export const time = 'process'
const stores = new Map<string, MemoryStore>()
/** Its keys are the store's own, so each time to remember has a store. */
export function open({ namespace, ttl, clock }: OpenOptions): OpenStore {
  const id = `${namespace} ${ttl}`
  const store = stores.get(id) ?? memoryStore({ ttl, clock })
  stores.set(id, store)
  return { store, close: () => Promise.resolve() }
}
