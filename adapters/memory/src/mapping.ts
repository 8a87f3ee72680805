// Wire and native forms, pure. A memory broker stores messages as they are, so there is little to map.
import type { Headers, HeaderValue, WireMessage } from '@polybus/core'

const lengthOf = (value: HeaderValue): number => (typeof value === 'string' ? value.length : value.byteLength)

/**
 * Bytes of body, key, headers and attributes. Text counts one byte a UTF-16 code unit (its `length`): nothing is encoded
 * here, so counting UTF-8 would cost more than storing.
 */
export function size(message: WireMessage): number {
  let bytes = message.body === null ? 0 : message.body.byteLength
  if (message.id !== undefined) bytes += message.id.length
  if (message.source !== undefined) bytes += message.source.length
  if (message.type !== undefined) bytes += message.type.length
  if (message.time !== undefined) bytes += 8
  if (message.key !== undefined) bytes += message.key.length
  if (message.contentType !== undefined) bytes += message.contentType.length
  if (message.dataSchema !== undefined) bytes += message.dataSchema.length
  if (message.correlationId !== undefined) bytes += message.correlationId.length
  if (message.causationId !== undefined) bytes += message.causationId.length
  for (const [name, value] of message.headers) bytes += name.length + lengthOf(value)
  return bytes
}

/** The same message, whose `polybus-*` headers are exactly these. */
export function withCoreHeaders(message: WireMessage, headers: Headers): WireMessage {
  return { ...message, headers: [...message.headers.filter(([name]) => !name.startsWith('polybus-')), ...headers] }
}

/** FNV-1a over the key's code units: which of `count` partitions is its own. */
export function partitionOf(key: string, count: number): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < key.length; index++) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193)
  // FNV's low bits are weak for short keys.
  hash ^= hash >>> 15
  return (hash >>> 0) % count
}

/** A foreign message is known by its place. The channel is part of it: positions are per channel. */
export const foreignId = (channel: string, position: string): string => `${channel}/${position}`

/** `<partition>/<offset>`; undefined for everything else, positions of retries and dead letters too. */
export function parsePosition(position: string): { readonly partition: number; readonly offset: number } | undefined {
  const match = /^(\d{1,9})\/(\d{1,15})$/.exec(position)
  return match ? { partition: Number(match[1]), offset: Number(match[2]) } : undefined
}
