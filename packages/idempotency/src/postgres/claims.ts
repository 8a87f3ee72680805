// The claim store on Postgres: the claims of a batch are one statement, and so are its completions.
import { randomUUID } from 'node:crypto'
import type { Claim, ClaimStore } from '@polybus/core'
import { createBatcher } from '../batcher.ts'
import { storedKey } from '../keys.ts'
import type { DatabaseSettings } from '../options.ts'
import type { Client, Row } from './query.ts'
import { createWork } from './work.ts'

export interface DatabaseClaimStore extends ClaimStore {
  claim(key: string, leaseMs: number): Promise<Claim>
  complete(key: string, fence: unknown): Promise<boolean>
  release(key: string, fence: unknown): Promise<void>
  renew(key: string, fence: unknown, leaseMs: number): Promise<boolean>
  forget(prefix: string): Promise<void>
  /** Ends its cleaning. The client stays open: it is yours. */
  close(): Promise<void>
}

interface Asked {
  readonly key: string
  readonly leaseMs: number
}
interface Held extends Asked {
  readonly fence: string
}

const AT_ONCE = 500
const MS = `interval '1 millisecond'`

export function createClaimStore(settings: DatabaseSettings, client: Client<unknown>): DatabaseClaimStore {
  const { table, ttlMs, clock } = settings
  const work = createWork(settings, client)

  // In one order everywhere, so that two batches never wait for each other.
  const CLAIM = `with claimed as (
  insert into ${table} as t (key, fence, until)
  select k, $2::text::uuid, clock_timestamp() + l * ${MS} from unnest($1::text[], $3::float8[]) as asked (k, l) order by k collate "C"
  on conflict (key) do update set fence = excluded.fence, until = excluded.until, forgotten = false
    where t.until <= clock_timestamp()
  returning key)
select key, 'claimed' as status from claimed
union all
select key, case when fence is null then 'duplicate' else 'busy' end from ${table} t
where key = any ($1::text[]) and not exists (select from claimed where claimed.key = t.key)`

  const claim = createBatcher<Asked, Claim>(clock, AT_ONCE, async (items) => {
    // One claim a key: the second in a batch is as late as one that comes after it.
    const firsts = new Map<string, Asked>()
    for (const item of items) if (!firsts.has(item.key)) firsts.set(item.key, item)
    const fence = randomUUID()
    const leases = [...firsts.values()].map(({ leaseMs }) => leaseMs)
    const rows = await work.do(CLAIM, [[...firsts.keys()], fence, leases])
    work.cleaner.start()
    const found = new Map(rows.map((row) => [String(row['key']), row['status']]))
    return items.map((item): Claim => {
      const status = found.get(item.key)
      if (status === 'duplicate') return { status }
      // Of a row that another one is about to commit nothing is seen.
      if (status !== 'claimed' || firsts.get(item.key) !== item) return { status: 'busy' }
      return { status, fence }
    })
  })

  /** `then` is what becomes of those rows that are still of this fence. */
  const held = (then: string, ...more: readonly number[]): ((item: Held) => Promise<boolean>) =>
    createBatcher<Held, boolean>(clock, AT_ONCE, async (items) => {
      const rows = await work.do(
        `with ours as (
  select t.key, t.fence, l from ${table} t join unnest($1::text[], $2::text[], $3::float8[]) as asked (k, f, l)
    on t.key = k and t.fence = f::uuid
  order by t.key for update of t)
${then}
returning ours.key, ours.fence`,
        [items.map(({ key }) => key), items.map(({ fence }) => fence), items.map(({ leaseMs }) => leaseMs), ...more],
      )
      const done = new Set(rows.map((row: Row) => `${String(row['fence'])} ${String(row['key'])}`))
      return items.map(({ key, fence }) => done.has(`${fence} ${key}`))
    })
  const complete = held(
    `update ${table} t set fence = null, forgotten = false,
  until = case when t.forgotten then now() else now() + $4 * ${MS} end
from ours where t.key = ours.key`,
    ttlMs,
  )
  const renew = held(`update ${table} t set until = clock_timestamp() + l * ${MS} from ours where t.key = ours.key`)
  const release = held(`delete from ${table} t using ours where t.key = ours.key`)
  const of = (key: string, fence: unknown, leaseMs = 0): Held => ({
    key: storedKey(key),
    fence: String(fence),
    leaseMs,
  })

  return {
    kind: 'claim',
    ready: work.ready,
    claim: (key, leaseMs) => claim({ key: storedKey(key), leaseMs }),
    complete: (key, fence) => complete(of(key, fence)),
    async release(key, fence) {
      await release(of(key, fence))
    },
    renew: (key, fence, leaseMs) => renew(of(key, fence, leaseMs)),
    forget: work.forget,
    parking: work.parking,
    close: work.cleaner.close,
  }
}
