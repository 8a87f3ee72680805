// The transactional store over any client of Postgres: the handler's transaction holds the key.
import type { Call } from '@polybus/core'
import { guard } from '../guard.ts'
import { storedKey } from '../keys.ts'
import { type Limit, limited } from '../limit.ts'
import type { DatabaseSettings } from '../options.ts'
import { type DatabaseStore, refused, untilAborted } from '../transaction.ts'
import { type Client, isConflict, isRefusal, type Query } from './query.ts'
import { createWork } from './work.ts'

type Outcome = 'done' | 'duplicate' | 'busy'

/** How far a run has come. */
interface Progress {
  phase: 'taking' | 'handling' | 'ending'
  failure?: { readonly error: unknown }
}

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
select ours, exists (select from taken) as taken from turn`

  const take = async (query: Query, key: string): Promise<Outcome> => {
    const [row] = await query(TAKE, [key, ttlMs])
    if (row?.['ours'] !== true) return 'busy'
    return row['taken'] === true ? 'done' : 'duplicate'
  }

  async function run(key: string, handle: (tx: Tx) => Promise<void>, { signal }: Call): Promise<Outcome> {
    signal.throwIfAborted()
    const stored = storedKey(key)
    const progress: Progress = { phase: 'taking' }

    const inside = async (tx: Tx, query: Query, limit: Limit): Promise<Outcome> => {
      // The turn came when nobody waited for it any more.
      limit.signal.throwIfAborted()
      const outcome = await take(query, stored)
      limit.signal.throwIfAborted()
      if (outcome !== 'done') return outcome
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
      // The handler may have swallowed the error of its own statement, and then a commit commits nothing.
      if (!client.seesRollback) await query('select 1')
      return outcome
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
      if (progress.failure) throw progress.failure.error
      if (progress.phase === 'taking' && isConflict(error)) return 'busy'
      if (progress.phase === 'ending' && isRefusal(error)) throw refused(error)
      throw signal.aborted ? signal.reason : work.explain(error)
    }
  }
  return { kind: 'transactional', run, forget: work.forget, parking: work.parking, close: work.cleaner.close }
}
