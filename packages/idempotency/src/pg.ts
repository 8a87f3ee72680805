// Postgres through pg.
import { refuseOwnEnd } from './own-end.ts'
import { checkClient, databaseSettings, type DatabaseStoreOptions } from './options.ts'
import { createClaimStore, type DatabaseClaimStore } from './postgres/claims.ts'
import { type Client, inline, type Query, type Row, sqlState } from './postgres/query.ts'
import { createTransactional } from './postgres/transactions.ts'
import type { DatabaseStore } from './transaction.ts'

/** As much of pg's `PoolClient` as the store uses. */
export interface PgClient {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
  release(destroy?: boolean | Error): void
}
/** As much of pg's `Pool`. */
export interface PgPool<C extends PgClient> {
  connect(): Promise<C>
  connect(callback: (...args: never[]) => void): void
}

/**
 * Remembers handled messages in Postgres, in the handler's own transaction: `tx` is a client of the pool, and what is written
 * through it is committed together with the record, or not at all. A key that another one works on is told busy at once, and
 * holds no connection. Give the pool as many connections as the consumer's `concurrency`, and some more.
 *
 * @throws {PolybusError} `INVALID_OPTION` where an option is wrong.
 * @example
 * const charge = consumer(orders, 'charge', {
 *   idempotency: pgStore(pool),
 *   async handler(order, { tx }) {
 *     await tx.query('insert into charges values ($1, $2)', [order.id, order.cents])
 *   },
 * })
 */
export function pgStore<C extends PgClient>(pool: PgPool<C>, options: DatabaseStoreOptions = {}): DatabaseStore<C> {
  const settings = databaseSettings(options, 'pgStore()')
  return createTransactional<C>(settings, poolClient(pool, 'pgStore()'))
}

/**
 * Claims in Postgres, for handlers whose effects are elsewhere. The claims of a batch of messages are one round trip, and so
 * are their completions.
 *
 * @throws {PolybusError} `INVALID_OPTION` where an option is wrong.
 * @example
 * const mail = consumer(orders, 'mail', { idempotency: pgClaimStore(pool), handler: send })
 */
export function pgClaimStore<C extends PgClient>(
  pool: PgPool<C>,
  options: DatabaseStoreOptions = {},
): DatabaseClaimStore {
  const settings = databaseSettings(options, 'pgClaimStore()')
  return createClaimStore(settings, poolClient(pool, 'pgClaimStore()'))
}

function poolClient<C extends PgClient>(pool: PgPool<C>, where: string): Client<C> {
  checkClient(pool, ['connect'], where)
  // A connection that breaks while nothing is asked of it says so by an event, and one that nobody hears ends the process: of the
  // pool, and of each connection from its first moment on, before the pool hands it out.
  listen(pool)
  if ('on' in pool) (pool as unknown as Connects).on('connect', (connection) => void listen(connection))

  const withConnection = async <T>(
    signal: AbortSignal,
    use: (connection: C, release: (destroy: boolean) => void) => Promise<T>,
  ): Promise<T> => {
    const connection = await connect(pool, signal)
    let heard: unknown
    const mute = listen(connection, (error) => (heard ??= error))
    let released = false
    const release = (destroy: boolean): void => {
      if (released) return
      released = true
      signal.removeEventListener('abort', abort)
      mute()
      connection.release(destroy)
    }
    // What it still waits for ends with an error.
    const abort = (): void => release(true)
    signal.addEventListener('abort', abort)
    try {
      const result = await use(connection, release)
      release(false)
      return result
    } catch (error) {
      // Where the server itself said what was wrong, the connection is as good as before.
      release(sqlState(error) === undefined)
      // The handler took longer than the server lets a transaction be idle: it said so while nothing was asked of it, and asked again it
      // would be the same.
      throw sqlState(heard) === IDLE_TOO_LONG ? heard : error
    }
  }
  return {
    refusesOwnEnd: true,
    queryOf: (tx) => async (text, values) => rowsOf(await tx.query(text, [...(values ?? [])])),
    guarding: { denied: ['release', 'end'], statements: { of: ['query'], check: refuseOwnEnd } },
    statement: (text, values, signal) =>
      withConnection(signal, async (connection) => rowsOf(await connection.query(text, [...values]))),
    transaction: (run, signal) =>
      withConnection(signal, async (connection, release) => {
        let begun = false
        // The first statement goes with the beginning of the transaction: a round trip less.
        const query: Query = async (text, values = []) => {
          const first = !begun
          begun = true
          return rowsOf(
            first ? await connection.query(`begin;${inline(text, values)}`) : await connection.query(text, [...values]),
          )
        }
        try {
          const { value, last } = await run(connection, query)
          await connection.query(last === undefined ? 'commit' : `${last};commit`)
          return value
        } catch (error) {
          await connection.query('rollback').then(
            () => release(false),
            () => release(true),
          )
          throw error
        }
      }),
  }
}

/** Of the last statement, where there were several. */
function rowsOf(answer: unknown): readonly Row[] {
  const { rows } = (Array.isArray(answer) ? answer.at(-1) : answer) as { rows: readonly Row[] }
  return rows
}

/** What comes when nobody waits for it any more goes back. */
async function connect<C extends PgClient>(pool: PgPool<C>, signal: AbortSignal): Promise<C> {
  const connection = await pool.connect()
  if (!signal.aborted) return connection
  connection.release()
  throw signal.reason
}

/** `idle_in_transaction_session_timeout` */
const IDLE_TOO_LONG = '25P03'

interface Connects {
  on(event: 'connect', listener: (connection: object) => void): void
}
interface Emitter {
  on(event: 'error', listener: (error: unknown) => void): void
  off(event: 'error', listener: (error: unknown) => void): void
}

/** Whoever waits for an answer gets the error there. Answers how to stop. */
function listen(client: object, heard: (error: unknown) => void = () => {}): () => void {
  if (!('on' in client && 'off' in client)) return () => {}
  const emitter = client as Emitter
  emitter.on('error', heard)
  return () => emitter.off('error', heard)
}
