import { createHash } from 'node:crypto'
import { invalid } from '@polybus/core'

/** So much of a key is kept as it is; in bytes it fits the index of every server. */
const LONGEST = 400
/** What of a longer one stays readable, and can be found by its beginning. */
const HEAD = 200
const UNFIT = /\0|\p{Surrogate}/u

/**
 * A key as servers can hold it: itself, or, where it is too long or no text in UTF-8, its beginning and a hash of all of it.
 * Keys that differ stay different.
 */
export function storedKey(key: string): string {
  const unfit = UNFIT.exec(key)
  if (unfit === null && key.length <= LONGEST) return key
  let head = key.slice(0, Math.min(HEAD, unfit?.index ?? HEAD))
  // Not in the middle of a pair.
  if (UNFIT.test(head)) head = head.slice(0, -1)
  return `${head}#sha256:${createHash('sha256').update(key, 'utf16le').digest('hex')}`
}

/** @throws {PolybusError} `INVALID_OPTION` where it reaches past what is kept of long keys. */
export function storedPrefix(prefix: string): string {
  if (typeof prefix !== 'string' || prefix.length >= HEAD || UNFIT.test(prefix))
    throw invalid('forget()', `expected the beginning of keys, shorter than ${HEAD} characters.`)
  return prefix
}
