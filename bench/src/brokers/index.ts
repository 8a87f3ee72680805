import { kafka } from './kafka.ts'
import { rabbitmq } from './rabbitmq.ts'
import type { Kind } from './raw.ts'
import { redis } from './redis.ts'
import { sqs } from './sqs.ts'

export const kinds: Readonly<Record<'kafka' | 'rabbitmq' | 'redis' | 'sqs', Kind>> = { kafka, rabbitmq, redis, sqs }
export type KindName = keyof typeof kinds
export const isKind = (name: string): name is KindName => Object.hasOwn(kinds, name)
