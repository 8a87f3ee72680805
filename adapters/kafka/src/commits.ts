// One commit at a time. Who asks while one is under way waits for the next: it covers what is finished by then.
import type { Call } from '@polybus/core'
import type { Assignment, Member, Position } from './client.ts'
import { feedBroken } from './errors.ts'
import type { Lane } from './lane.ts'
import { stamp } from './stamp.ts'

export interface Owned {
  readonly assignment: Assignment
  readonly lanes: Iterable<Lane>
}

export interface Commits {
  /** Something of it is finished. Here the interval is soon enough. */
  soon(lane: Lane): void
  /** Resolves when all that is finished now is committed. Rejects as the client does, or where nothing is owned just now. */
  flush(): Promise<void>
}

export function createCommits(options: {
  readonly member: () => Member | undefined
  /** Undefined while the group rebalances. */
  readonly owned: () => Owned | undefined
  readonly call: Call
}): Commits {
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined

  const commit = async (): Promise<void> => {
    const member = options.member()
    const now = options.owned()
    if (!member || !now) throw feedBroken('The group is rebalancing: nothing can be committed just now.')
    const dirty = [...now.lanes].filter((lane) => lane.dirty)
    if (dirty.length === 0) return
    const positions = dirty.map((lane): Position => {
      lane.dirty = false
      return {
        topic: lane.topic,
        partition: lane.partition,
        offset: lane.ledger.position,
        metadata: stamp(lane.topicId, lane.ledger.metadata()),
      }
    })
    try {
      await member.commit(now.assignment, positions, options.call)
    } catch (error) {
      for (const lane of dirty) lane.dirty = true
      throw error
    }
  }
  const start = (): Promise<void> => {
    const work = commit().finally(() => {
      running = undefined
    })
    running = work
    return work
  }
  return {
    soon() {},
    flush() {
      if (!running) return start()
      next ??= running
        .catch(() => undefined)
        .then(() => {
          next = undefined
          return start()
        })
      return next
    },
  }
}
