export { redis, type RedisAdapter } from './adapter.ts'
export type { RedisChannelOptions, RedisEnvelope, RedisForeignMessage, RedisHazard, RedisOptions } from './options.ts'
