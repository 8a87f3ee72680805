// A real PostgreSQL: what tests of the stores rely on.
import { describeBroker } from '@polybus/brokers'
import { Client } from 'pg'
import { expect, test } from 'vitest'

const SLOW = { timeout: 60_000 }

async function ask(url: string, ...statements: readonly string[]): Promise<unknown[]> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5000 })
  // It is told twice of a lost connection, by this and by its query.
  client.on('error', () => {})
  try {
    await client.connect()
    let rows: unknown[] = []
    for (const statement of statements)
      rows = (await client.query<unknown[]>({ text: statement, rowMode: 'array' })).rows
    return rows.flat()
  } finally {
    await client.end()
  }
}

await describeBroker(
  'postgres',
  (postgres) => {
    test('postgres: keeps its port and what was committed over a kill and a stop', SLOW, async () => {
      const broker = postgres()
      const { port, pid, url } = broker
      expect(broker.keepsData).toBe(true)
      await ask(url, 'create table kept (id int primary key)', 'insert into kept values (1)')

      await broker.kill()
      await expect(ask(url, 'select 1')).rejects.toThrow('ECONNREFUSED')
      await broker.start()
      expect(broker.port).toBe(port)
      expect(broker.pid).not.toBe(pid)
      expect(await ask(url, 'select id from kept')).toEqual([1])

      await broker.stop()
      await expect(ask(url, 'select 1')).rejects.toThrow('ECONNREFUSED')
      await broker.start()
      expect(await ask(url, 'select id from kept')).toEqual([1])
    })

    test('postgres: a kill takes its connections and what they had not committed', SLOW, async () => {
      const broker = postgres()
      const client = new Client({ connectionString: broker.url })
      const lost = new Promise((resolve) => client.on('error', resolve))
      await client.connect()
      await client.query('create table lost (id int)')
      await client.query('begin')
      await client.query('insert into lost values (1)')
      await broker.kill()
      await lost
      await broker.start()
      expect(await ask(broker.url, 'select * from lost')).toEqual([])
    })

    test('postgres: stops although a client is connected', SLOW, async () => {
      const broker = postgres()
      const client = new Client({ connectionString: broker.url })
      const told = new Promise<Error>((resolve) => client.on('error', resolve))
      await client.connect()
      await broker.stop()
      expect((await told).message).toMatch(/terminat/i)
      await broker.start()
    })

    test(
      'postgres: paused neither old connections nor new ones are answered, and it goes on where it was',
      SLOW,
      async () => {
        const broker = postgres()
        const client = new Client({ connectionString: broker.url })
        await client.connect()
        let answered = false
        broker.pause()
        const answer = client.query('select 1').then(() => (answered = true))
        try {
          await expect(
            new Client({ connectionString: broker.url, connectionTimeoutMillis: 500 }).connect(),
          ).rejects.toThrow('timeout')
          expect(answered).toBe(false)
        } finally {
          broker.resume()
        }
        await answer
        expect(answered).toBe(true)
        await client.end()
      },
    )

    test('postgres: a commit is on disk, and another user than root runs it, with a password', SLOW, async () => {
      const { url } = postgres()
      expect(
        await ask(
          url,
          "select current_setting('fsync'), current_setting('synchronous_commit'), current_setting('full_page_writes')",
        ),
      ).toEqual(['on', 'on', 'on'])
      expect(await ask(url, 'show listen_addresses')).toEqual(['127.0.0.1'])
      await expect(ask(url.replace(':polybus@', ':wrong@'), 'select 1')).rejects.toThrow('password')
    })
  },
  { instance: 'brokers' },
)
