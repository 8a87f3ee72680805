export { type MemoryStore, memoryStore, type MemoryStoreOptions } from './memory.ts'
export type { RedisClient } from './redis-client.ts'
export { type RedisStore, redisStore, type RedisStoreOptions } from './redis.ts'
