import { type BrowseSession, type Call, PolybusError, type RawDeadLetter, type Result } from '@polybus/core'
import type { Group } from './state.ts'
import { OK } from './settle.ts'

type Over = <T>(call: Call, run: () => T) => Promise<T>

/**
 * Memory has a real cursor: a session holds nothing, and hides what it showed from nobody. It sees letters that are
 * written behind its place, until it has answered that there are no more.
 */
export function openSession(group: Group, over: Over): BrowseSession {
  const cursor = group.letters.values()
  let open = true
  const atWork = <T>(run: () => T): T => {
    if (open) return run()
    throw new PolybusError('CLOSED', 'This look at dead letters is closed.')
  }
  const next = (limit: number): RawDeadLetter[] => {
    const found: RawDeadLetter[] = []
    while (found.length < limit) {
      const letter = cursor.next()
      if (letter.done) break
      found.push({ position: letter.value.position, message: letter.value.message })
    }
    return found
  }
  const remove = (position: string): Result<void> => {
    if (group.letters.delete(position)) return OK
    return { ok: false, error: new PolybusError('DEAD_LETTER_NOT_FOUND', `No dead letter is at ${position}.`) }
  }
  return {
    next: (limit, call) => over(call, () => atWork(() => next(limit))),
    remove: (positions, call) => over(call, () => atWork(() => positions.map(remove))),
    close() {
      open = false
      return Promise.resolve()
    },
  }
}
