// Of messages that come one after the other many are of one millisecond, and nearly all of one second; to write that down anew
// each time costs more than all their other attributes. What was written last is kept, and nothing but time depends on it.
let last = NaN
let text = ''
let second = NaN
let start = ''

/** A time, in milliseconds since 1970, as ISO 8601 writes it. */
export function isoOf(time: number): string {
  if (time === last) return text
  const now = Math.floor(time / 1000)
  const ms = time - now * 1000
  // Parts of a millisecond are left to Date; so is what is no time.
  if (!Number.isInteger(ms)) return new Date(time).toISOString()
  if (now !== second) {
    start = new Date(now * 1000).toISOString().slice(0, -4)
    second = now
  }
  text = `${start}${ms < 100 ? (ms < 10 ? '00' : '0') : ''}${ms}Z`
  last = time
  return text
}
