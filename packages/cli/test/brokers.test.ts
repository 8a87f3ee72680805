// The command on each real broker, as a user would run it.
import { describeBroker, kafkaUsers, type RunningBroker } from '@polybus/brokers'
import { sqliteClaimStore } from '@polybus/idempotency'
import { channel, connect, consumer, trust } from 'polybus'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import {
  type App,
  app,
  cli,
  count,
  emptyFolder,
  ended,
  fail,
  firstOf,
  ids,
  lines,
  type Order,
  orders,
  parsed,
  put,
  start,
  until,
} from './rig.ts'

const LIMIT_MS = 120_000
/** Where a look holds what it shows. */
const EXCLUSIVE: readonly string[] = ['rabbitmq', 'sqs']
const given: readonly Order[] = [
  { id: 'o-1', customer: 'c-1', cents: 100 },
  { id: 'o-2', customer: 'c-2', cents: -5 },
  { id: 'o-3', customer: 'c-1', cents: 300 },
]

for (const name of ['redis', 'rabbitmq', 'kafka', 'sqs'] as const)
  await describeBroker(name, (broker) => {
    describe(name, { timeout: LIMIT_MS }, () => {
      suite(name, broker)
    })
  })

function suite(name: string, broker: () => RunningBroker): void {
  let shop: App
  let open: App | undefined
  // Not before all: a broker that could not be had is told before each.
  beforeEach(async () => {
    shop = open ??= await app(broker().url)
    await empty()
  }, LIMIT_MS)
  afterAll(() => open?.close(), LIMIT_MS)
  const dlq = (verb: string, ...more: readonly string[]) =>
    cli(['dlq', verb, 'orders', 'charge', ...more, ...shop.at], { limitMs: 60_000 })
  // Again, because what a look has just given back may not be there yet.
  const empty = (): Promise<void> =>
    until(async () => {
      await shop.bus.deadLetters(orders, 'charge').discard({})
      return (await ids(shop.bus)).length === 0
    })

  test(`${name}: dead letters are listed, shown, edited, replayed and discarded`, async () => {
    await fail(shop.bus, given)
    const table = await dlq('ls')
    expect([table.code, table.err]).toEqual([0, ''])
    expect(lines(table.out)[0]).toMatch(/^ID +REASON +ERROR +ATTEMPTS +KEY +LAST FAILED$/)
    expect(lines(table.out)).toHaveLength(4)
    expect(table.out).toMatch(/^o-2 +attempts-exhausted +TypeError: o-2 is negative +1 +c-2 +20/m)

    const some = await dlq('ls', '--error', 'CardDeclined', '--key', 'c-1', '--since', '1h', '--json')
    expect(parsed(some.out).map(({ id, key }) => [id, key])).toEqual([
      ['o-1', 'c-1'],
      ['o-3', 'c-1'],
    ])
    expect(parsed((await dlq('ls', '--until', '1h', '--json')).out)).toEqual([])
    const one = await dlq('ls', '--limit', '1')
    expect(lines(one.out)).toHaveLength(2)
    expect(one.err).toMatch(/^(2|There are) more: --limit N or --all\.\n$/)

    const shown = await dlq('show', 'o-3')
    expect(shown.out).toMatch(/^error +CardDeclined: o-3 has no money$/m)
    expect(shown.out).toMatch(/^header tenant +acme$/m)
    expect(shown.out).toContain('"cents": 300')
    expect(await dlq('show', 'o-9')).toMatchObject({ code: 1, out: '', err: expect.stringContaining('has the id o-9') })

    const dry = await dlq('replay', '--all', '--dry-run', '--json')
    expect([dry.code, parsed(dry.out).length, dry.err]).toEqual([0, 3, '3 would be replayed. Nothing was done.\n'])
    expect(await dlq('discard', 'o-1')).toMatchObject({ code: 2, out: '', err: expect.stringContaining('give --yes') })
    expect(await ids(shop.bus)).toHaveLength(3)

    expect(await dlq('edit', 'o-2', '--set', 'cents=250')).toMatchObject({
      code: 2,
      out: '',
      err: expect.stringMatching(/Its old value is gone then.*give --yes/),
    })
    const edited = await dlq('edit', 'o-2', '--set', 'cents=250', '--yes')
    expect([edited.code, edited.out]).toEqual([0, 'replayed 1, failed 0\n'])
    const replayed = await dlq(
      'replay',
      '--key',
      'c-1',
      '--error',
      'CardDeclined',
      '--yes',
      '--json',
      '--per-second',
      '50',
    )
    expect([replayed.code, parsed(replayed.out)]).toEqual([0, [{ done: 2, failed: 0 }]])
    const got: unknown[] = []
    const types: string[] = []
    const [again] = await shop.bus.start(
      consumer(orders, 'charge', (order, { message }) => {
        got.push(order)
        types.push(`${message.id} ${message.key} ${message.type} ${message.headers['tenant']}`)
      }),
    )
    await until(() => got.length === 3)
    await again?.stop()
    expect(got.toSorted(byId)).toEqual([given[0], { ...given[1], cents: 250 }, given[2]])
    expect(types.toSorted()).toEqual(['o-1 c-1 orders acme', 'o-2 c-2 orders acme', 'o-3 c-1 orders acme'])

    await put(shop.bus, 3)
    const discarded = await dlq('discard', 'm-0', 'm-9', '--yes')
    expect([discarded.code, discarded.out]).toEqual([1, 'discarded 1, failed 1\n'])
    expect((await ids(shop.bus)).toSorted()).toEqual(['m-1', 'm-2'])
    expect(await dlq('discard', '--all', '--yes')).toMatchObject({ code: 0, out: 'discarded 2, failed 0\n' })
    expect(await dlq('ls')).toMatchObject({ code: 0, out: '', err: expect.stringMatching(/^None/) })
  })

  test(`${name}: what was exported is imported as it was, byte for byte`, async () => {
    await fail(shop.bus, [given[0]!])
    const { headers } = (await shop.bus.inspect(orders)).capabilities
    const wire = {
      id: 'odd',
      source: 'elsewhere',
      type: 'odd.thing',
      time: Date.parse('2025-01-01T00:00:00.123Z'),
      key: 'schlüssel',
      headers: [
        ['polybus-reason', 'undecodable'],
        ['polybus-origin', 'orders/1/2'],
        ['polybus-last-failed', '2025-01-02T00:00:00.456Z'],
        ['trace', 'ä\u2028"'],
        ...(headers.duplicates ? [['trace', 'two']] : []),
        ...(headers.binary ? [['bin', Buffer.from([0, 255, 10])]] : []),
      ] as [string, string | Uint8Array][],
      body: Buffer.from([0, 1, 255, 254, 10, 13]),
      contentType: 'application/x-odd',
      dataSchema: 'urn:schema',
      correlationId: 'cor',
      causationId: 'cau',
    }
    await shop.bus.deadLetters(orders, 'charge').restore([wire])
    const before = await dlq('export')
    expect([before.code, lines(before.out).length]).toEqual([0, 2])
    const odd = parsed(before.out).find(({ id }) => id === 'odd')
    expect(odd).toMatchObject({ reason: 'undecodable', lastFailedAt: '2025-01-02T00:00:00.456Z' })
    expect(odd.message).toMatchObject({
      body: { base64: wire.body.toString('base64') },
      key: wire.key,
      time: '2025-01-01T00:00:00.123Z',
    })
    await empty()

    const dry = await cli(['dlq', 'import', 'orders', 'charge', '--dry-run', ...shop.at], { input: before.out })
    expect([dry.code, dry.err]).toEqual([0, '2 would be imported. Nothing was done.\n'])
    const wrong = await cli(['dlq', 'import', 'orders', 'email', ...shop.at], { input: before.out })
    expect(wrong).toMatchObject({
      code: 2,
      err: expect.stringContaining('line 1 is no dead letter: it is a letter of orders/charge'),
    })
    const put = await cli(['dlq', 'import', 'orders', 'charge', ...shop.at], { input: before.out })
    expect([put.code, put.out]).toEqual([0, 'imported 2, failed 0\n'])
    const after = await dlq('export')
    expect(parsed(after.out).toSorted(byId)).toEqual(parsed(before.out).toSorted(byId))
  })

  test(`${name}: two who look at once ${EXCLUSIVE.includes(name) ? 'share the letters, and both give them back' : 'both see all'}`, async () => {
    await putMany(shop)
    const first = start(['dlq', 'ls', 'orders', 'charge', '--all', '--json', ...shop.at])
    const beginning = await firstOf(first)
    first.stdout.pause()
    const second = idsOf((await dlq('ls', '--all', '--json')).out)
    const { code, out, err } = await ended(first, '', 60_000)
    const seen = idsOf(beginning.toString() + out)
    expect([code, err]).toEqual([0, expect.not.stringContaining('polybus:')])
    if (EXCLUSIVE.includes(name)) {
      const held = idsOf(beginning.subarray(0, beginning.lastIndexOf(10)).toString())
      expect(held.length).toBeGreaterThan(0)
      expect(second.filter((id) => held.includes(id))).toEqual([])
      expect(new Set([...seen, ...second]).size).toBe(MANY)
    } else {
      expect(new Set(seen).size).toBe(MANY)
      expect(new Set(second).size).toBe(MANY)
    }
    await until(async () => (await ids(shop.bus)).length === MANY)
  })

  test(`${name}: Ctrl-C in the middle of a replay: what was replayed is gone, the rest is still there`, async () => {
    await put(shop.bus, 120)
    const child = start(['dlq', 'replay', 'orders', 'charge', '--all', '--yes', '--per-second', '40', ...shop.at])
    const over = ended(child, '', 60_000)
    await until(async () => (await shop.bus.stats(orders, 'charge')).backlog! > 5)
    child.kill('SIGINT')
    const { code, out, err } = await over
    expect([code, out]).toEqual([130, ''])
    const replayed = Number(/^Stopped\. replayed (\d+), failed 0; the rest is where it was\.$/m.exec(err)?.[1])
    expect(replayed).toBeGreaterThan(5)
    expect(replayed).toBeLessThan(120)
    const left = await ids(shop.bus)
    expect(left).toHaveLength(120 - replayed)
    const got: string[] = []
    const [again] = await shop.bus.start(consumer(orders, 'charge', (_, { message }) => void got.push(message.id)))
    await until(() => got.length >= replayed)
    await again?.stop()
    expect(got).toHaveLength(replayed)
    expect(new Set([...left, ...got]).size).toBe(120)
  })

  test(`${name}: a reader that goes away ends a look without a crash`, async () => {
    await putMany(shop)
    const child = start(['dlq', 'ls', 'orders', 'charge', '--all', '--json', ...shop.at])
    await firstOf(child)
    child.stdout.destroy()
    const errors: Buffer[] = []
    child.stderr.on('data', (chunk: Buffer) => errors.push(chunk))
    const [code] = (await once(child, 'close')) as [number]
    expect([code, Buffer.concat(errors).toString()]).toEqual([0, ''])
    await until(async () => (await ids(shop.bus)).length === MANY)
  })

  test(`${name}: keys that wait behind a dead letter are listed, and go on without it`, async () => {
    const directory = emptyFolder()
    const database = new DatabaseSync(join(directory, 'store.db'))
    const module = join(directory, 'jobs.mjs')
    writeFileSync(
      module,
      `import { DatabaseSync } from 'node:sqlite'
       import { channel, consumer, trust } from '${CORE}'
       import { sqliteClaimStore } from '${STORES}'
       export const jobs = channel('jobs', { schema: trust(), key: (job) => job.key, groups: ['work'] })
       const idempotency = sqliteClaimStore(new DatabaseSync(${JSON.stringify(join(directory, 'store.db'))}))
       export const work = consumer(jobs, 'work', { deadLetter: 'in-order', retry: false, idempotency, handler() {} })`,
    )
    const parked = (verb: string, ...more: readonly string[]) =>
      cli(['parked', verb, 'jobs', 'work', ...more, '--channels', module, ...shop.at], { limitMs: 60_000 })
    const jobs = channel('jobs', { schema: trust<{ key: string }>(), key: (job) => job.key, groups: ['work'] })
    let failing = 'j-1'
    const handled: string[] = []
    const kinds: string[] = []
    const bus = await connect({
      broker: broker().url,
      namespace: shop.namespace,
      logger: false,
      observe: ({ kind }) => void kinds.push(kind),
    })
    await bus.subscribe(jobs, 'work', {
      deadLetter: 'in-order',
      retry: false,
      idempotency: sqliteClaimStore(database),
      handler(_, { message: { id } }) {
        if (id === failing) throw new Error('not yet')
        handled.push(id)
      },
    })
    const publish = async (...names: readonly string[]): Promise<void> => {
      for (const id of names) await bus.publish(jobs, { key: 'ann' }, { id })
    }
    const waiting = (count: number): Promise<void> =>
      until(() => kinds.filter((kind) => kind === 'parked').length === count)

    await publish('j-1', 'j-2', 'j-3')
    await waiting(2)
    const table = await parked('ls')
    expect([table.code, table.err, lines(table.out).map((line) => line.split(/ +/).join(' '))]).toEqual([
      0,
      '',
      ['KEY WAITING BEHIND WHICH IS', 'ann 2 j-1 dead'],
    ])
    expect(parsed((await parked('ls', '--json')).out)).toEqual([{ key: 'ann', head: 'j-1', state: 'dead', waiting: 2 }])
    expect(await cli(['parked', 'ls', 'jobs', 'work', ...shop.at])).toMatchObject({
      code: 2,
      err: expect.stringContaining("--channels has to name a module that exports the group's consumer"),
    })
    expect(await parked('replay', 'bob', '--yes')).toMatchObject({ code: 1, err: expect.stringContaining("'bob'") })
    expect(await parked('replay', 'ann')).toMatchObject({ code: 2, err: expect.stringContaining('give --yes') })

    failing = 'j-4'
    expect(await parked('replay', 'ann', '--yes')).toMatchObject({ code: 0, err: expect.stringContaining('j-1') })
    await until(() => handled.length === 3)
    await until(async () => (await parked('ls')).err === 'None.\n')

    await publish('j-4', 'j-5')
    await waiting(3)
    expect(await parked('discard', 'ann', '--yes')).toMatchObject({ code: 0, err: expect.stringContaining('j-4') })
    await until(() => handled.length === 4)
    expect(handled).toEqual(['j-1', 'j-2', 'j-3', 'j-5'])
    await bus.close()
    database.close()
  })

  test(`${name}: topology is planned, applied and examined; messages are published, counted and tailed`, async () => {
    const directory = emptyFolder()
    const module = join(directory, 'channels.mjs')
    writeFileSync(
      module,
      `import { channel, trust } from '${CORE}'
       export const parcels = channel('parcels', { schema: trust(), key: (parcel) => parcel.to, groups: ['ship', 'bill'] })
       export const notes = channel('notes', { schema: trust(), groups: ['read'] })`,
    )
    const defined = ['--channels', module, ...shop.at]
    const missing = await cli(['topology', 'plan', ...defined], { limitMs: 60_000 })
    expect(missing.code).toBe(1)
    expect(missing.out).toMatch(/^\+ create the group 'ship' of the channel 'parcels'/m)
    expect(missing.out).toMatch(/^\+ create the group 'read' of the channel 'notes'/m)
    expect(await cli(['doctor', ...defined], { limitMs: 60_000 })).toMatchObject({
      code: 1,
      out: expect.stringMatching(/^FAILED {3}parcels: topology: missing: create/m),
    })
    expect(await cli(['lag', 'parcels', ...defined])).toMatchObject({
      code: 2,
      err: expect.stringContaining('The broker lacks what this needs'),
    })
    expect(await cli(['topology', 'apply', ...defined])).toMatchObject({
      code: 2,
      err: expect.stringContaining('give --yes'),
    })
    expect(await cli(['topology', 'apply', '--yes', ...defined], { limitMs: 60_000 })).toMatchObject({ code: 0 })
    expect(await cli(['topology', 'plan', ...defined], { limitMs: 60_000 })).toEqual({
      code: 0,
      out: '',
      err: 'Everything is there.\n',
    })
    const health = await cli(['doctor', ...defined, '--json'], { limitMs: 60_000 })
    expect([health.code, health.err]).toEqual([0, ''])
    expect(parsed(health.out)).toContainEqual({
      status: 'ok',
      channel: 'parcels',
      check: 'topology',
      text: 'all there',
    })

    const input = `{"to":"a","n":1}\nno json\n\n{"to":"b","n":2}\n`
    const published = await cli(['publish', 'parcels', '--json', ...defined], { input, limitMs: 60_000 })
    expect(published.code).toBe(1)
    expect(published.err).toMatch(/^polybus: line 2 is no JSON: .*\npublished 2, failed 1\n$/)
    expect(parsed(published.out)).toEqual(
      [{ id: expect.any(String) }, { id: expect.any(String) }].map((one) => expect.objectContaining(one)),
    )
    // By its name alone: that it has a key is found out.
    const byName = ['--groups', 'ship,bill', ...shop.at]
    const single = await cli(
      [
        'publish',
        'parcels',
        '{"to":"a","n":3}',
        '--key-from',
        'to',
        '--id',
        'p-3',
        '--header',
        'tenant=acme',
        ...byName,
      ],
      { limitMs: 60_000 },
    )
    expect(single).toEqual({ code: 0, out: '', err: 'published 1\n' })
    await until(async () => {
      const { out } = await cli(['lag', 'parcels', '--json', ...byName])
      return parsed(out).every(({ backlog }) => backlog === 3)
    })
    const tailed = await cli(['tail', 'parcels', '--group', 'ship', '--limit', '3', '--yes', '--json', ...shop.at], {
      limitMs: 60_000,
    })
    expect([tailed.code, tailed.err]).toEqual([0, '3 messages\n'])
    expect(
      parsed(tailed.out)
        .map(({ body }) => JSON.parse(body))
        .toSorted((a, b) => a.n - b.n),
    ).toEqual([
      { to: 'a', n: 1 },
      { to: 'b', n: 2 },
      { to: 'a', n: 3 },
    ])
    expect(parsed(tailed.out).find(({ id }) => id === 'p-3')).toMatchObject({ key: 'a', headers: { tenant: 'acme' } })
    const after = await cli(['lag', 'parcels', ...byName])
    expect(lines(after.out)[0]).toMatch(/^CHANNEL +GROUP +BACKLOG/)
    expect(after.out).toMatch(/^parcels +ship +0 /m)
    expect(after.out).toMatch(/^parcels +bill +3 /m)
    const wrong = await cli(['dlq', 'ls', 'parcel', 'ship', ...shop.at])
    expect(wrong).toMatchObject({ code: 2, out: '' })
    expect(lines(wrong.err)).toEqual([expect.stringContaining('The broker lacks what this needs: create the')])
    // That question made nothing.
    expect((await cli(['topology', 'plan', 'parcel', '--groups', 'ship', ...shop.at])).code).toBe(1)
  })

  test(`${name}: a wrong password is one clear line and exit code 2`, async ({ skip }) => {
    if (name === 'sqs') skip('ElasticMQ accepts any credentials')
    const { code, out, err } = await cli(['dlq', 'ls', 'orders', 'charge', '--broker', withWrongPassword(broker())])
    expect([code, out]).toEqual([2, ''])
    expect(lines(err)).toEqual([expect.stringMatching(/^polybus: /)])
    expect(err).not.toContain('wr0ng')
  })
}

/** As a module of an application imports it: the child process knows built files alone. */
const CORE = pathToFileURL(join(import.meta.dirname, '../../core/dist/index.js')).href
const STORES = pathToFileURL(join(import.meta.dirname, '../../idempotency/dist/index.js')).href
/** More than a pipe holds, so that a look stays open for as long as nobody reads it. */
const MANY = 60
const putMany = (shop: App): Promise<void> => put(shop.bus, MANY, { error: 'x'.repeat(10_000) })
const idsOf = (out: string): readonly string[] => parsed(out).map(({ id }) => id as string)
const byId = (a: unknown, b: unknown): number => ((a as { id: string }).id < (b as { id: string }).id ? -1 : 1)

function withWrongPassword({ name, port, ports }: RunningBroker): string {
  if (name === 'kafka') return `kafka://${kafkaUsers.admin.username}:wr0ng@127.0.0.1:${ports['sasl']}?sasl=plain`
  return `${name === 'redis' ? 'redis' : 'amqp'}://nobody:wr0ng@127.0.0.1:${port}`
}

await describeBroker('redis', (broker) => {
  test(
    'redis: 100,000 dead letters are listed within a heap that holds a fraction of them',
    { timeout: LIMIT_MS },
    async () => {
      const shop = await app(broker().url)
      await put(shop.bus, 100_000, { bytes: 1000 })
      const node = ['--max-old-space-size=40']
      const some = await cli(['dlq', 'ls', 'orders', 'charge', ...shop.at], { node })
      expect(lines(some.out)).toHaveLength(51)
      expect(some.err).toBe('99950 more: --limit N or --all.\n')
      const child = start(['dlq', 'ls', 'orders', 'charge', '--all', '--json', ...shop.at], { node })
      child.stdin.end()
      let rows = 0
      child.stdout.on('data', (chunk: Buffer) => {
        for (const byte of chunk) if (byte === 10) rows++
      })
      child.stderr.resume()
      const [code] = (await once(child, 'close')) as [number]
      expect([code, rows]).toEqual([0, 100_000])
      expect(await count(shop.bus)).toBe(100_000)
      await shop.close()
    },
  )

  test('redis: two letters of one id that are not one message are not edited', { timeout: LIMIT_MS }, async () => {
    const shop = await app(broker().url)
    await fail(shop.bus, [given[0]!])
    const exported = parsed((await cli(['dlq', 'export', 'orders', 'charge', ...shop.at])).out)
    const other = { ...exported[0], message: { ...exported[0].message, source: 'returns' } }
    expect((await cli(['dlq', 'import', 'orders', 'charge', ...shop.at], { input: JSON.stringify(other) })).code).toBe(
      0,
    )
    const refused = await cli(['dlq', 'edit', 'orders', 'charge', 'o-1', '--set', 'cents=1', '--yes', ...shop.at])
    expect(refused).toMatchObject({ code: 2, out: '', err: expect.stringContaining('source returns') })
    expect(await ids(shop.bus)).toEqual(['o-1', 'o-1'])
    await shop.close()
  })

  test(
    'redis: a letter is edited in $EDITOR, and validated by the application’s own definition',
    { timeout: LIMIT_MS },
    async () => {
      const shop = await app(broker().url)
      await fail(shop.bus, [given[0]!])
      const at = ['orders', 'charge', 'o-1', ...shop.at]
      const EDITOR = (script: string) => ({ env: { EDITOR: `sh -c '${script}'`, VISUAL: '' } })
      // npm names an editor to what it runs.
      expect(await cli(['dlq', 'edit', ...at], { env: { EDITOR: '', VISUAL: '' } })).toMatchObject({
        code: 2,
        err: expect.stringContaining('give --value or --set'),
      })
      expect(await cli(['dlq', 'edit', ...at], EDITOR('true'))).toMatchObject({
        code: 1,
        out: '',
        err: 'It was left as it was: nothing was done.\n',
      })
      expect(await cli(['dlq', 'edit', ...at], EDITOR('echo { > "$0"'))).toMatchObject({
        code: 2,
        err: expect.stringMatching(/is no JSON/),
      })
      const module = join(emptyFolder(), 'channels.mjs')
      writeFileSync(
        module,
        `import { channel } from '${CORE}'
       const positive = { '~standard': { version: 1, vendor: 'test', validate: (value) =>
         value.cents > 0 ? { value } : { issues: [{ message: 'not positive' }] } } }
       export const orders = channel('orders', { schema: positive, key: (order) => order.customer, groups: ['charge', 'email'] })`,
      )
      const refused = await cli(['dlq', 'edit', ...at, '--set', 'cents=-1', '--channels', module, '--yes'])
      expect(refused).toMatchObject({
        code: 1,
        out: 'replayed 0, failed 1\n',
        err: expect.stringContaining('not positive'),
      })
      expect(await ids(shop.bus)).toEqual(['o-1'])
      const edited = await cli(['dlq', 'edit', ...at, '--channels', module, '--yes'], EDITOR('sed -i s/100/222/ "$0"'))
      expect(edited).toEqual({ code: 0, out: 'replayed 1, failed 0\n', err: '' })
      const got: Order[] = []
      await shop.bus.start(consumer(orders, 'charge', (order) => void got.push(order)))
      await until(() => got.length === 1)
      expect(got).toEqual([{ ...given[0], cents: 222 }])
      const misspelt = await cli(['dlq', 'ls', 'oders', 'charge', ...shop.at, '--channels', module])
      expect(misspelt).toMatchObject({ code: 2, err: expect.stringContaining("Did you mean 'orders'?") })
      await shop.close()
    },
  )
})
