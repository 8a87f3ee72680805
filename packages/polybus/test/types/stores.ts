// Stands for stores that @polybus/idempotency does not have yet: their types alone, as packages/idempotency will declare them.
// Each one that is there replaces its declaration here by a re-export.
import type { IdempotencyStore } from 'polybus'

interface PgClient {
  query(text: string, values?: any[]): Promise<{ rows: any[] }>
  release(destroy?: boolean | Error): void
}
export declare function pgStore<C extends PgClient>(pool: {
  connect(): Promise<C>
  connect(cb: (...a: any[]) => void): void
}): IdempotencyStore<C>
export declare function drizzleStore<Tx>(db: {
  transaction<T>(run: (tx: Tx) => Promise<T>): Promise<T>
}): IdempotencyStore<Tx>
export declare function kyselyStore<Tx>(db: {
  transaction(): { execute<T>(run: (tx: Tx) => Promise<T>): Promise<T> }
}): IdempotencyStore<Tx>
export declare function prismaStore<Tx>(db: {
  $transaction<T>(run: (tx: Tx) => Promise<T>): Promise<T>
}): IdempotencyStore<Tx>
export declare function redisStore(client: { eval(...args: any[]): Promise<unknown> }): IdempotencyStore
