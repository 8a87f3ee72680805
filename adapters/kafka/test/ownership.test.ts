// What a member does when its group moves, in orders of events that no broker can be made to bring about on demand.
import { type Source, systemClock } from '@polybus/core'
import { channelSpec } from '@polybus/testkit'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Assignment, Client, KafkaRecord, Member, Position } from '../src/client.ts'
import type { Token } from '../src/lane.ts'
import { layoutOf } from '../src/layout.ts'
import { checkOptions } from '../src/options.ts'
import { createOwnership, type Ownership } from '../src/ownership.ts'
import type { Session } from '../src/session.ts'
import { until } from './support.ts'

const clock = systemClock()
const call = { signal: new AbortController().signal }
const topic = 'orders'
const of = (generation: number, partitions: readonly number[], memberId = 'me'): Assignment => ({
  memberId,
  generation,
  partitions: partitions.map((partition) => ({ topic, partition })),
})
const record = (partition: number, offset: number): KafkaRecord => ({
  topic,
  partition,
  offset: BigInt(offset),
  timestamp: 0,
  key: null,
  value: null,
  headers: [],
  bytes: 10,
})

describe('kafka: ownership of partitions', () => {
  let committed: { assignment: Assignment; positions: readonly Position[] }[]
  let lost: unknown[]
  let revoked: unknown[][]
  let broken: unknown[]
  let slowStart: Promise<void> | undefined
  let release: () => void
  let ownership: Ownership

  beforeEach(() => {
    const commits: typeof committed = (committed = [])
    lost = []
    revoked = []
    broken = []
    slowStart = undefined
    const settings = checkOptions({ handoverMs: 50 })
    const spec = channelSpec(topic)
    const layout = layoutOf(settings, undefined, spec)
    const admin = {
      topicIds: () => Promise.resolve(new Map<string, string>()),
      committed: async () => {
        await slowStart
        return []
      },
      offsets: () =>
        Promise.resolve(Array.from({ length: 8 }, (_, partition) => ({ partition, begin: 0n, end: 100n }))),
    }
    const source = {
      channel: spec,
      group: 'work',
      from: 'beginning',
      onLost: (tokens: readonly unknown[]) => void lost.push(...tokens),
      onRevoke: (tokens: readonly unknown[]) => {
        revoked.push([...tokens])
        return new Promise<void>((resolve) => (release = resolve))
      },
    } as unknown as Source
    ownership = createOwnership({
      session: { client: { admin } as unknown as Client, clock, settings } as Session,
      layout,
      source,
      call,
      wake: () => {},
      dropped: () => {},
      breakUp: (error) => void broken.push(error),
      draining: () => false,
    })
    ownership.setMember({
      pause() {},
      resume() {},
      seek() {},
      commit: (assignment: Assignment, positions: readonly Position[]) => {
        commits.push({ assignment, positions })
        return Promise.resolve()
      },
    } as unknown as Member)
  })

  const feed = (partition: number, ...offsets: readonly number[]): void =>
    ownership.events.onRecords({
      topic,
      partition,
      records: offsets.map((offset) => record(partition, offset)),
      lastOffset: BigInt(offsets.at(-1) ?? 0),
      highWatermark: 100n,
    })
  const take = (partition: number): Token => {
    const lane = ownership.lanes.get(`${topic}/${partition}`)
    const entry = lane?.ledger.next()
    if (!lane || !entry) throw new Error(`nothing of partition ${partition}`)
    const token: Token = { lane, entry, record: entry.record, state: 'held', copied: false }
    lane.ledger.take(entry)
    lane.held.add(token)
    return token
  }

  it('keeps what it holds of a partition that stays, and what it has fetched of it', async () => {
    await ownership.events.onAssigned(of(1, [0, 1]))
    feed(0, 0, 1, 2)
    feed(1, 0)
    const [stays, goes] = [take(0), take(1)]
    const revoking = ownership.events.onRevoking(of(1, [0, 1]))
    await revoking
    expect(revoked).toEqual([[stays, goes]])
    const begin = await ownership.events.onAssigned(of(2, [0]))
    expect(begin).toEqual([{ topic, partition: 0, offset: 3n }])
    expect(lost).toEqual([goes])
    expect(stays.lane.lost).toBe(false)
  })

  it('has lost all when it missed a generation: others may have had it in between', async () => {
    await ownership.events.onAssigned(of(1, [0]))
    feed(0, 0)
    const token = take(0)
    await ownership.events.onRevoking(of(1, [0]))
    expect(await ownership.events.onAssigned(of(3, [0]))).toEqual([{ topic, partition: 0, offset: 0n }])
    expect(lost).toEqual([token])
  })

  it('has lost all as another member', async () => {
    await ownership.events.onAssigned(of(1, [0]))
    feed(0, 0)
    const token = take(0)
    await ownership.events.onAssigned(of(2, [0], 'me again'))
    expect(lost).toEqual([token])
  })

  it('hands nothing out and goes on committing while it waits for handlers, then commits nothing until it is assigned', async () => {
    await ownership.events.onAssigned(of(1, [0]))
    // What it chose as its beginning.
    await until(() => committed.length === 1, 'the first commit')
    committed.length = 0
    feed(0, 0, 1)
    const token = take(0)
    const revoking = ownership.events.onRevoking(of(1, [0]))
    expect(ownership.phase).toBe('revoking')
    token.lane.ledger.finish(token.entry)
    token.lane.dirty = true
    await clock.turn()
    release()
    await revoking
    expect(committed).toEqual([
      { assignment: of(1, [0]), positions: [{ topic, partition: 0, offset: 1n, metadata: '' }] },
    ])
    expect(ownership.phase).toBe('joining')
    await expect(ownership.commits.flush()).rejects.toMatchObject({ code: 'FEED_BROKEN' })
    await ownership.events.onAssigned(of(2, [1]))
    await ownership.commits.flush()
    expect(committed.slice(1).flatMap(({ positions }) => positions.map(({ partition }) => partition))).toEqual([1])
  })

  it('waits for handlers no longer than the hand-over time', async () => {
    await ownership.events.onAssigned(of(1, [0]))
    feed(0, 0)
    take(0)
    const start = clock.now()
    await ownership.events.onRevoking(of(1, [0]))
    expect(clock.now() - start).toBeGreaterThanOrEqual(45)
    expect(ownership.phase).toBe('joining')
  })

  it('answers nothing to an assignment that is over before its beginning is known', async () => {
    slowStart = new Promise((resolve) => (release = resolve))
    const late = ownership.events.onAssigned(of(1, [0]))
    ownership.events.onLost(of(1, [0]))
    release()
    expect(await late).toEqual([])
    expect(ownership.lanes.size).toBe(0)
    expect(ownership.phase).toBe('joining')
  })

  it('ignores records of partitions that it does not own', async () => {
    await ownership.events.onAssigned(of(1, [0]))
    feed(5, 0, 1)
    expect([...ownership.lanes.keys()]).toEqual(['orders/0'])
    expect(broken).toEqual([])
  })
})
