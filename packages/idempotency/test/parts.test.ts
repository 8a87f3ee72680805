// What the stores are made of, where a real server would not show it.
import { systemClock } from '@polybus/core'
import { virtualClock } from '@polybus/testkit'
import { expect, test } from 'vitest'
import { createBatcher } from '../src/batcher.ts'
import { createCleaner } from '../src/cleaner.ts'
import { guard } from '../src/guard.ts'
import { storedKey, storedPrefix } from '../src/keys.ts'
import { limited } from '../src/limit.ts'
import { inline, isConflict, isRefusal, sqlState } from '../src/postgres/query.ts'

test('a key is stored as it is where every server can hold it, else by its beginning and a hash', () => {
  expect(storedKey('orders:mail:polybus:1')).toBe('orders:mail:polybus:1')
  const long = `orders:mail:${'x'.repeat(5000)}`
  expect(storedKey(long)).toMatch(/^orders:mail:x+#sha256:[0-9a-f]{64}$/)
  expect(storedKey(long).length).toBeLessThan(300)
  const keys = [
    long,
    `${long}y`,
    'a\0b',
    'a\0c',
    'a\ud800',
    'a\ud801',
    'a\ufffd',
    `${'x'.repeat(199)}${'👧'.repeat(200)}`,
  ]
  const stored = keys.map(storedKey)
  expect(new Set(stored).size).toBe(keys.length)
  for (const key of stored) expect(Buffer.from(key).toString()).toBe(key)
  expect(stored.join('')).not.toContain('\0')
})

test('a prefix that reaches past what is kept of long keys is refused: it would not find them', () => {
  expect(storedPrefix('orders:mail:')).toBe('orders:mail:')
  for (const prefix of ['x'.repeat(200), 'a\0', '\ud800'])
    expect(() => storedPrefix(prefix)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
})

test('calls of one turn go together, and those that come meanwhile go next', async () => {
  const batches: string[][] = []
  const ask = createBatcher<string, string>(systemClock(), 3, async (items) => {
    batches.push([...items])
    await Promise.resolve()
    if (items.includes('bad')) throw new Error('refused')
    return items.map((item) => item.toUpperCase())
  })
  const answers = await Promise.all(['a', 'b', 'c', 'd'].map(ask))
  expect(answers).toEqual(['A', 'B', 'C', 'D'])
  expect(batches).toEqual([['a', 'b', 'c'], ['d']])
  const settled = await Promise.allSettled(['bad', 'e'].map(ask))
  expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(await ask('f')).toBe('F')
})

test('what the store does not answer in time is unavailable, and whose caller goes is let go', async () => {
  const time = virtualClock()
  const never = new Promise<never>(() => {})
  const late = limited(time.clock, 1000, () => never)
  const abort = new AbortController()
  const left = limited(time.clock, 1000, () => never, abort.signal)
  abort.abort(new Error('gone'))
  await expect(left).rejects.toThrow('gone')
  await Promise.all([expect(late).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' }), time.advance(1000)])
})

test('a handler may take longer than the store, which has its time again for the commit', async () => {
  const time = virtualClock()
  let signal: AbortSignal | undefined
  let done = (): void => {}
  const handled = new Promise<void>((resolve) => (done = resolve))
  const run = limited(time.clock, 1000, async (limit) => {
    signal = limit.signal
    limit.pause()
    await handled
    limit.resume()
    await new Promise<never>(() => {})
  })
  const ended = run.catch((error: unknown) => error)
  await time.advance(3_600_000)
  done()
  await time.advance(999)
  expect(signal?.aborted).toBe(false)
  await time.advance(1000)
  expect(await ended).toMatchObject({ code: 'STORE_UNAVAILABLE' })
})

test('cleaning goes in steps until there is nothing left, tells of a failure once and tries again', async () => {
  const time = virtualClock()
  const steps = [1000, 1000, 5]
  const errors: unknown[] = []
  const removed: number[] = []
  const cleaner = createCleaner({
    clock: time.clock,
    everyMs: 60_000,
    onError: (error) => errors.push(error),
    async remove() {
      await Promise.resolve()
      const count = steps.shift()
      if (count === undefined) throw new Error('away')
      removed.push(count)
      return count
    },
  })
  await time.advance(600_000)
  expect(removed).toEqual([])
  cleaner.start()
  await time.advance(60_000)
  expect(removed).toEqual([1000, 1000, 5])
  await time.advance(60_000)
  expect(errors).toHaveLength(1)
  await time.advance(600_000)
  expect(errors, 'a failure that goes on is told once').toHaveLength(1)
  steps.push(7)
  await time.advance(60_000)
  expect(removed.at(-1)).toBe(7)
  await time.advance(60_000)
  expect(errors, 'and again after it worked').toHaveLength(2)
  await cleaner.close()
  steps.push(8)
  await time.advance(600_000)
  expect(removed.at(-1)).toBe(7)
})

test('a transaction that is over refuses use, by what was taken from it before too', () => {
  class Client {
    #secret = 'inside'
    released = false
    query(): string {
      return this.#secret
    }
    self(): this {
      return this
    }
    prepare(): Client {
      return new Client()
    }
    release(): void {
      this.released = true
    }
  }
  const client = new Client()
  const { tx, end } = guard(client, { makers: ['prepare'], denied: ['release'] })
  const { query } = tx
  const statement = tx.prepare()
  expect([tx.query(), query(), statement.query(), tx.self().query()]).toEqual(Array(4).fill('inside'))
  expect(() => tx.release()).toThrow('not the handler')
  const self = tx.self()
  end()
  for (const use of [() => tx.query(), query, () => statement.query(), () => self.query()])
    expect(use).toThrow('The transaction is over')
  expect(client.query()).toBe('inside')
})

test('values stand in a statement as nothing but values', () => {
  expect(inline('select $1, $2, $1', ["x'; drop table y; --", 5])).toBe(
    "select convert_from('\\x78273b2064726f70207461626c6520793b202d2d', 'UTF8'), 5, convert_from('\\x78273b2064726f70207461626c6520793b202d2d', 'UTF8')",
  )
})

test('what the server said is found however a client wraps it, and tells a refusal from a server that is away', () => {
  const wrapped = (code: string): Error => new Error('a', { cause: new Error('b', { cause: { code } }) })
  expect(sqlState(wrapped('23505'))).toBe('23505')
  expect(sqlState({ code: 'P2010', meta: { driverAdapterError: { cause: { originalCode: '40001' } } } })).toBe('40001')
  expect(sqlState({ code: 'ECONNREFUSED' })).toBe(undefined)
  expect(isConflict(wrapped('40P01'))).toBe(true)
  expect([wrapped('23503'), wrapped('25P02')].map(isRefusal)).toEqual([true, true])
  expect([wrapped('57P01'), wrapped('08006'), wrapped('53300'), new Error('lost')].map(isRefusal)).toEqual(
    Array(4).fill(false),
  )
})
