export { memory, type MemoryAdapter } from './adapter.ts'
export type { MemoryFaults } from './faults.ts'
export type { MemoryOptions } from './options.ts'
export type { MemoryAbilities } from './state.ts'
