/** A time, in milliseconds since 1970, as ISO 8601 writes it. */
export type IsoOf = (time: number) => string

/** For one message after the other: many are of one millisecond, and to write that costs more than all their other attributes. */
export function isoTimes(): IsoOf {
  let last: number | undefined
  let text = ''
  return (time) => {
    if (time === last) return text
    text = new Date(time).toISOString()
    last = time
    return text
  }
}
