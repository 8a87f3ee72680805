export { type MemoryStore, memoryStore, type MemoryStoreOptions } from './memory.ts'
