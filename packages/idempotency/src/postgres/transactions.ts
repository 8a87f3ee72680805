// The transactional store over any client of Postgres: the handler's transaction holds the key.
import type { Call } from '@polybus/core'
import { guard } from '../guard.ts'
import { storedKey } from '../keys.ts'
import { type Limit, limited } from '../limit.ts'
import type { DatabaseSettings } from '../options.ts'
import { type DatabaseStore, refused, untilAborted } from '../transaction.ts'
import { type Client, type Ending, isConflict, isRefusal, type Query } from './query.ts'
import { createWork } from './work.ts'

type Outcome = 'done' | 'duplicate' | 'busy'

/** How far a run has come. */
interface Progress {
  phase: 'taking' | 'handling' | 'ending'
  failure?: { readonly error: unknown }
  /** Of the transaction, once the key is taken. */
  id?: string
}
interface Taken {
  readonly outcome: Outcome
  readonly id: string
}

/**
 * Fails where this is another transaction, or none, since the handler ended it; and where one of its statements failed and its error was
 * swallowed, when a commit would commit nothing. The text is no number, and so becomes the error's.
 */
const sameTransaction = (id: string): string =>
  `select case when txid_current_if_assigned() = ${Number(id)} then 0 else ('the handler ended its transaction by itself, now it is ' || coalesce(txid_current_if_assigned()::text, 'over'))::int end`

export function createTransactional<Tx extends object>(
  settings: DatabaseSettings,
  client: Client<Tx>,
): DatabaseStore<Tx> {
  const { table, ttlMs, clock, timeoutMs } = settings
  const work = createWork(settings, client)

  // Whoever has the lock meets every row that was committed: an insert asks the index and not the snapshot. Who does not get it
  // waits for nothing. A row past its time is as good as none.
  const TAKE = `with turn as materialized (select pg_try_advisory_xact_lock(hashtextextended($1, 7)) as ours),
taken as (
  insert into ${table} as t (key, until)
  select $1, now() + $2 * interval '1 millisecond' from turn where ours
  on conflict (key) do update set until = excluded.until, fence = null, forgotten = false where t.until <= now()
  returning 1)
select ours, case when exists (select from taken) then txid_current()::text end as taken from turn`

  const take = async (query: Query, key: string): Promise<Taken> => {
    const [row] = await query(TAKE, [key, ttlMs])
    if (row?.['ours'] !== true) return { outcome: 'busy', id: '' }
    const id = row['taken']
    return typeof id === 'string' ? { outcome: 'done', id } : { outcome: 'duplicate', id: '' }
  }
  /** The record of a transaction that the handler has ended by itself, and then failed: the message must come again. */
  const untake = async (key: string, id: string): Promise<void> => {
    await work.do(`delete from ${table} where key = $1 and xmin::text = ($2::bigint & 4294967295)::text`, [key, id])
  }

  async function run(key: string, handle: (tx: Tx) => Promise<void>, { signal }: Call): Promise<Outcome> {
    signal.throwIfAborted()
    const stored = storedKey(key)
    const progress: Progress = { phase: 'taking' }

    const inside = async (tx: Tx, query: Query, limit: Limit): Promise<Ending<Outcome>> => {
      // The turn came when nobody waited for it any more.
      limit.signal.throwIfAborted()
      const { outcome, id } = await take(query, stored)
      limit.signal.throwIfAborted()
      if (outcome !== 'done') return { value: outcome }
      progress.id = id
      progress.phase = 'handling'
      limit.pause()
      try {
        await untilAborted(guard(tx, client.guarding), handle, signal)
      } catch (error) {
        progress.failure = { error }
        throw error
      } finally {
        progress.phase = 'ending'
        limit.resume()
      }
      return { value: outcome, last: sameTransaction(id) }
    }

    await work.ready()
    work.cleaner.start()
    try {
      return await limited(
        clock,
        timeoutMs,
        (limit) => client.transaction((tx, query) => inside(tx, query, limit), limit.signal),
        signal,
      )
    } catch (error) {
      if (progress.failure) {
        // Where nobody reads its statements, it may have said COMMIT before it failed.
        if (!client.refusesOwnEnd && progress.id !== undefined) await untake(stored, progress.id).catch(() => undefined)
        throw progress.failure.error
      }
      if (progress.phase === 'taking' && isConflict(error)) return 'busy'
      if (progress.phase === 'ending' && isRefusal(error)) throw refused(error)
      throw signal.aborted ? signal.reason : work.explain(error)
    }
  }
  return {
    kind: 'transactional',
    ready: work.ready,
    run,
    forget: work.forget,
    parking: work.parking,
    close: work.cleaner.close,
  }
}
