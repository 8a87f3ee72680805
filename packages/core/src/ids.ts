import { randomBytes } from 'node:crypto'

/**
 * Makes ids that no other maker makes: 96 random bits a maker, and a count. A UUID a message would cost several times as
 * much, in time and in what deduplication has to hash and to keep.
 */
export function createIds(): () => string {
  const maker = randomBytes(12).toString('base64url')
  let count = 0
  return () => `${maker}-${(count++).toString(36)}`
}
