export { redis, type RedisAdapter } from './adapter.ts'
export type { RedisChannelOptions, RedisHazard, RedisOptions } from './options.ts'
