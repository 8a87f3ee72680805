// Lines of parked messages in two tables, on any database: `core/src/idempotency.ts` is the promise.
import type { HeadState, ParkedLine, ParkedMessage, TransactionalParking } from '@polybus/core'
import { storedKey, storedPrefix } from './keys.ts'
import type { Query, Row } from './postgres/query.ts'

export interface ParkingOptions<Tx> {
  readonly table: string
  readonly durable: boolean
  /** One statement that stands for itself. */
  readonly statement: Query
  readonly together: <T>(run: (query: Query) => Promise<T>) => Promise<T>
  readonly queryOf: (tx: Tx) => Query
  /** What makes a select hold its row to the end of the transaction. */
  readonly lock: string
  /** That the column's text begins with the first value. */
  readonly begins: (column: string) => string
}

interface Head {
  readonly id: string
  readonly message: string
  readonly state: HeadState
}

const headOf = (row: Row): Head => ({
  id: String(row['head_id']),
  message: String(row['head_message']),
  state: row['state'] as HeadState,
})

export function createParking<Tx>(options: ParkingOptions<Tx>): TransactionalParking<Tx> {
  const { table, durable, statement, together, queryOf, lock, begins } = options
  const [lines, tail] = [`${table}_lines`, `${table}_parked`]
  const COLUMNS = 'head_id, head_message, state'

  const read = async (query: Query, line: string, hold = ''): Promise<Head | undefined> => {
    const [row] = await query(`select ${COLUMNS} from ${lines} where line = $1${hold}`, [storedKey(line)])
    return row && headOf(row)
  }
  /** While the line's row is held, so the tail is in order of arrival. */
  const park = async (query: Query, line: string, id: string, message: string): Promise<'parked'> => {
    await query(
      `insert into ${tail} (line, id_key, id, message) values ($1, $2, $3, $4) on conflict (line, id_key) do nothing`,
      [storedKey(line), storedKey(id), id, message],
    )
    return 'parked'
  }
  const advance = async (query: Query, line: string, id: string): Promise<ParkedMessage | undefined> => {
    const head = await read(query, line, lock)
    if (!head) return undefined
    if (head.id !== id) return head.state === 'due' ? { id: head.id, message: head.message } : undefined
    const key = storedKey(line)
    const [next] = await query(
      `delete from ${tail} where seq = (select min(seq) from ${tail} where line = $1) returning id, message`,
      [key],
    )
    if (!next) {
      await query(`delete from ${lines} where line = $1`, [key])
      return undefined
    }
    const due = { id: String(next['id']), message: String(next['message']) }
    await query(`update ${lines} set head_id = $2, head_message = $3, state = 'due' where line = $1`, [
      key,
      due.id,
      due.message,
    ])
    return due
  }

  return {
    durable,
    async enter(line, id, message) {
      // Most keys have no line: one look, and no lock.
      const seen = await read(statement, line)
      if (!seen) return 'free'
      if (seen.id === id) return 'head'
      return together(async (query) => {
        const head = await read(query, line, lock)
        if (!head) return 'free'
        return head.id === id ? 'head' : park(query, line, id, message)
      })
    },
    block: (line, id, message) =>
      together(async (query) => {
        const same = `${lines}.head_id = excluded.head_id`
        const [row] = await query(
          `insert into ${lines} (line, name, ${COLUMNS}) values ($1, $2, $3, $4, 'dead') on conflict (line) do update
set head_message = case when ${same} then excluded.head_message else ${lines}.head_message end,
  state = case when ${same} then 'dead' else ${lines}.state end
returning ${COLUMNS}`,
          [storedKey(line), line, id, message],
        )
        return row && headOf(row).id !== id ? park(query, line, id, message) : 'head'
      }),
    advance: (line, id, tx) =>
      tx === undefined ? together((query) => advance(query, line, id)) : advance(queryOf(tx), line, id),
    async sent(line, id) {
      await statement(`update ${lines} set state = 'sent' where line = $1 and head_id = $2 and state = 'due'`, [
        storedKey(line),
        id,
      ])
    },
    head: (line) => read(statement, line),
    async look(line, id, tx) {
      const head = await read(queryOf(tx), line)
      if (!head) return 'free'
      return head.id === id ? 'head' : 'behind'
    },
    async list(prefix, after, limit) {
      const rows = await statement(
        `select name, head_id, state, (select count(*) from ${tail} where ${tail}.line = ${lines}.line) as waiting
from ${lines} where ${begins('line')} and line > $2 order by line limit $3`,
        [storedPrefix(prefix), after === undefined ? '' : storedKey(after), limit],
      )
      return rows.map((row): ParkedLine => ({
        line: String(row['name']),
        head: String(row['head_id']),
        state: row['state'] as HeadState,
        waiting: Number(row['waiting']),
      }))
    },
  }
}
