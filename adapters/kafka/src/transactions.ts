// Commits of a transactional source: a partition's position and all that its finished prefix publishes, together or not at all.
import type { Call } from '@polybus/core'
import type { Commits, Owned } from './commits.ts'
import { feedBroken, kafkaError } from './errors.ts'
import type { Lane, Passed, Transaction } from './lane.ts'
import { batchesOf } from './outputs.ts'
import type { Session } from './session.ts'
import { stamp } from './stamp.ts'

export interface TransactionsOptions {
  readonly session: Session
  readonly groupId: string
  readonly owned: () => Owned | undefined
  readonly call: Call
  /** It cannot be committed: whoever owns the partition next has to run it again. */
  readonly breakUp: (error: unknown) => void
}

/** Of one transaction: it holds readers back while it is open. */
const BYTES = 8 * 2 ** 20
const COUNT = 5000
/** So long a failing transaction is tried again before the feed is given up. */
const PATIENCE_MS = 15_000
const PAUSE_MS = 100

export function createTransactions(options: TransactionsOptions): Commits {
  const { session, groupId, owned, call, breakUp } = options
  const { client, clock } = session
  const running = new Map<Lane, Promise<void>>()
  const failing = new Map<Lane, number>()

  const isOurs = (lane: Lane): boolean => !lane.lost && owned() !== undefined
  /** What happened to a transaction whose answer was lost can be read: nobody else moves this position. */
  const happened = async ({ topic, partition }: Lane, position: bigint): Promise<boolean> => {
    const committed = await client.admin.committed(groupId, [topic], call)
    const found = committed.find((each) => each.partition === partition)
    return found !== undefined && found.offset >= position
  }
  const write = async (lane: Lane, own: Transaction, some: readonly Passed[], position: bigint): Promise<void> => {
    const { producer } = own
    if (own.doubtful !== undefined) {
      // It ends what was open, and waits until what was committed can be seen.
      await producer.initialise(call)
      const done = await happened(lane, own.doubtful)
      own.doubtful = undefined
      if (done) return
    }
    await producer.begin(call)
    const { topic, partition, topicId } = lane
    const metadata = stamp(topicId, '')
    try {
      const outputs = some.flatMap((each) => each.outputs)
      if (outputs.length > 0) await producer.produce(await batchesOf(session, outputs, call), call)
      await producer.sendOffsets(groupId, [{ topic, partition, offset: position, metadata }], call)
      if (!isOurs(lane)) throw notNow()
    } catch (error) {
      // If that fails too, the next beginning ends it.
      await producer.abort(call).catch(() => undefined)
      throw error
    }
    try {
      await producer.commit(call)
    } catch (error) {
      if (kafkaError(error).sent !== 'no') own.doubtful = position
      throw error
    }
  }
  /** Until all is committed that is finished when it looks. */
  const work = async (lane: Lane): Promise<void> => {
    const own = lane.transaction
    while (own && lane.dirty && isOurs(lane)) {
      // What is in doubt is tried again as it was.
      const { doubtful } = own
      const some = take(own.passed, doubtful)
      const all = doubtful === undefined && some.length === own.passed.length
      const position = doubtful ?? (all ? lane.ledger.position : (some.at(-1)?.next ?? lane.ledger.position))
      if (all) lane.dirty = false
      try {
        await write(lane, own, some, position)
      } catch (error) {
        lane.dirty = true
        // Its producer was closed under it: that is no trouble of the other lanes.
        throw lane.lost ? notNow() : error
      }
      failing.delete(lane)
      own.passed.splice(0, some.length)
      own.bytes -= some.reduce((sum, each) => sum + each.bytes, 0)
    }
  }
  const failed = (lane: Lane, error: unknown): void => {
    if (lane.lost || call.signal.aborted) return
    const { retryable, code } = kafkaError(error)
    const since = failing.get(lane) ?? clock.now()
    failing.set(lane, since)
    if (!retryable || code === 'LEASE_LOST' || clock.now() - since > PATIENCE_MS) breakUp(error)
    else if (code !== 'FEED_BROKEN') clock.timer(PAUSE_MS, () => commits.soon(lane))
  }
  const run = (lane: Lane): Promise<void> => {
    const before = running.get(lane)
    if (before) return before
    const now = work(lane).finally(() => running.delete(lane))
    running.set(lane, now)
    return now
  }
  const commits: Commits = {
    async flush() {
      const now = owned()
      if (!now) throw notNow()
      await Promise.all([...now.lanes].filter((lane) => lane.dirty || running.has(lane)).map(run))
    },
    soon(lane) {
      if (!lane.dirty || running.has(lane) || !isOurs(lane)) return
      run(lane).catch((error: unknown) => failed(lane, error))
    },
  }
  return commits
}

const notNow = (): Error => feedBroken('The group is rebalancing: nothing can be committed just now.')

/** From the head, as much as one transaction should hold; `upTo`: exactly what lies before that position. */
function take(passed: readonly Passed[], upTo: bigint | undefined): readonly Passed[] {
  let bytes = 0
  let count = 0
  for (const [index, each] of passed.entries()) {
    if (upTo !== undefined ? each.next > upTo : index > 0 && (bytes + each.bytes > BYTES || count >= COUNT))
      return passed.slice(0, index)
    bytes += each.bytes
    count += Math.max(1, each.outputs.length)
  }
  return [...passed]
}
