// A steady rate that nobody's slowness slows down: each message has its time, from which its latency counts, so that one that
// could only be sent late has waited. (Who sends the next one when the last one is through never sees the waits of a queue.)

export interface Schedule {
  /** When it is due, by `performance.now()`. */
  due(index: number): number
}

/** So long before a message is due the loop is polled instead of slept: a timer's millisecond is longer than many latencies. */
const WATCHED_MS = 2

/** Resolves when `send` was called for the last one; where it is late it catches up at once. */
export async function openLoop(
  perSecond: number,
  count: number,
  send: (index: number, schedule: Schedule) => void,
): Promise<Schedule> {
  const started = performance.now()
  const schedule: Schedule = { due: (index) => started + (index * 1000) / perSecond }
  for (let next = 0; next < count;) {
    while (next < count && schedule.due(next) <= performance.now()) send(next++, schedule)
    if (next === count) break
    const wait = schedule.due(next) - performance.now()
    await new Promise<void>((resolve) => {
      if (wait > WATCHED_MS) setTimeout(resolve, wait - WATCHED_MS)
      else setImmediate(resolve)
    })
  }
  return schedule
}
