// What commits answer in orders of events that no broker can be made to bring about on demand.
import { PolybusError, systemClock } from '@polybus/core'
import { expect, test } from 'vitest'
import type { Client, TransactionalProducer } from '../src/client.ts'
import type { Owned } from '../src/commits.ts'
import { closed } from '../src/errors.ts'
import { createLane } from '../src/lane.ts'
import { createLedger } from '../src/ledger.ts'
import type { Session } from '../src/session.ts'
import { createTransactions } from '../src/transactions.ts'
import { call } from './support.ts'

test('kafka: a partition that is lost in mid-transaction does not break the feed of the others', async () => {
  const broken: unknown[] = []
  const done = (): Promise<void> => Promise.resolve()
  const producer: TransactionalProducer = {
    initialise: done,
    begin: done,
    produce: done,
    // Whoever takes the partition away closes its producer.
    sendOffsets: () => {
      lane.lost = true
      return Promise.reject(closed())
    },
    commit: done,
    abort: done,
    close: done,
  }
  const transaction = { producer, passed: [], bytes: 0, doubtful: undefined }
  const lane = createLane({ topic: 'orders', partition: 0 }, 0, createLedger(5n), transaction)
  lane.dirty = true
  const commits = createTransactions({
    session: { client: {} as Client, clock: systemClock() } as Session,
    groupId: 'work',
    owned: (): Owned => ({ assignment: { memberId: 'me', generation: 1, partitions: [] }, lanes: [lane] }),
    call,
    breakUp: (error) => void broken.push(error),
  })
  const error: unknown = await commits.flush().catch((thrown: unknown) => thrown)
  expect(PolybusError.is(error, 'FEED_BROKEN') && error.retryable).toBe(true)
  expect(broken).toEqual([])
})
