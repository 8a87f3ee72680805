// On a real registry (Apicurio): registration, evolution, drift, and a registry that is killed while a bus consumes.
import { randomUUID } from 'node:crypto'
import { createServer, request } from 'node:http'
import { once } from 'node:events'
import { describeBroker } from '@polybus/brokers'
import { type Bus, channel, type Codec, consumer, createBus, trust, types } from '@polybus/core'
import { memory } from '@polybus/memory'
import { afterEach, describe, expect, test } from 'vitest'
import { schemaRegistry } from '../src/index.ts'

interface Order {
  readonly id: string
  readonly cents: number
}
const field = (name: string, type: unknown, more: object = {}): object => ({ name, type, ...more })
const record = (...fields: object[]): object => ({ type: 'record', name: 'Order', namespace: 'shop', fields })
const v1 = record(field('id', 'string'), field('cents', 'int'))
const proto = 'syntax = "proto3"; package shop; message Order { string id = 1; int32 cents = 2; }'
const json = {
  title: 'shop.Order',
  type: 'object',
  properties: { id: { type: 'string' }, cents: { type: 'integer' } },
  required: ['id', 'cents'],
  additionalProperties: false,
}
const buses: Bus[] = []
afterEach(async () => {
  await Promise.all(buses.splice(0).map((bus) => bus.close({ grace: '1s' })))
})
const open = async (name = fresh()): Promise<Bus> => {
  const bus = await createBus(memory({ name }), { logger: false })
  buses.push(bus)
  return bus
}
const fresh = (): string => `c${randomUUID().slice(0, 8)}`
const until = async (condition: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5))
}
/** Asks the registry from outside, as a person would with curl. */
const put = async (url: string, subject: string, schema: object | string, schemaType = 'AVRO'): Promise<number> => {
  const response = await fetch(`${url}/subjects/${subject}/versions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ schema: typeof schema === 'string' ? schema : JSON.stringify(schema), schemaType }),
  })
  expect(response.status).toBe(200)
  return ((await response.json()) as { id: number }).id
}

await describeBroker(
  'registry',
  (registry) => {
    const at = (more: object = {}): ReturnType<typeof schemaRegistry> =>
      schemaRegistry({ url: registry().url, ...more })
    const about = (name: string): { channel: string; type: string } => ({ channel: name, type: name })

    describe('which schema is written with', () => {
      test('an own one must be registered, unless it may register itself', async () => {
        const name = fresh()
        await expect(at().avro({ schema: v1 }).encode({ id: 'a', cents: 1 }, about(name))).rejects.toMatchObject({
          code: 'SCHEMA_NOT_REGISTERED',
          message: expect.stringContaining(`under subject '${name}-value'`),
        })
        const body = await at().avro({ schema: v1, register: true }).encode({ id: 'a', cents: 1 }, about(name))
        const again = await at().avro({ schema: v1 }).encode({ id: 'a', cents: 1 }, about(name))
        expect(Buffer.from(again).equals(body)).toBe(true)
      })
      test('the latest of the subject, or a pinned one', async () => {
        const name = fresh()
        const first = await put(registry().url, `${name}-value`, v1)
        const second = await put(
          registry().url,
          `${name}-value`,
          record(field('id', 'string'), field('cents', 'int'), field('note', 'string', { default: '-' })),
        )
        const idOf = async (codec: Codec): Promise<number> =>
          Buffer.from(await codec.encode({ id: 'a', cents: 1 }, about(name))).readUInt32BE(1)
        expect(await idOf(at().avro())).toBe(second)
        expect(await idOf(at().avro({ id: first }))).toBe(first)
      })
      test('by channel, by the name of the record, by both, by a text or a function', async () => {
        const name = fresh()
        const own = { ...v1, name: `Order${name}` }
        const table: [string | ((context: any) => string) | undefined, string][] = [
          [undefined, `${name}-value`],
          ['record', `shop.Order${name}`],
          ['topic-record', `${name}-shop.Order${name}`],
          [`fixed-${name}`, `fixed-${name}`],
          [({ channel: of, record: it }) => `${of}.${it}`, `${name}.shop.Order${name}`],
        ]
        for (const [subject, expected] of table) {
          await at().avro({ schema: own, register: true, subject }).encode({ id: 'a', cents: 1 }, about(name))
          expect((await fetch(`${registry().url}/subjects/${expected}/versions`)).status).toBe(200)
        }
      })
      test('an incompatible one is refused by the registry', async () => {
        const name = fresh()
        await put(registry().url, `${name}-value`, v1)
        await fetch(`${registry().url}/config/${name}-value`, {
          method: 'PUT',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ compatibility: 'BACKWARD' }),
        })
        const other = record(field('id', 'int'))
        await expect(at().avro({ schema: other, register: true }).encode({ id: 1 }, about(name))).rejects.toMatchObject(
          {
            code: 'SCHEMA_INCOMPATIBLE',
            retryable: false,
          },
        )
      })
    })

    const formats: [string, (registry: ReturnType<typeof at>) => Codec][] = [
      ['avro', (of) => of.avro({ schema: v1, register: true })],
      ['json', (of) => of.jsonSchema({ schema: json, register: true })],
      ['protobuf', (of) => of.protobuf({ schema: proto, register: true })],
    ]
    for (const [name, make] of formats) {
      test(`${name}: through a bus, and what cannot be read goes to the dead letters with its reason, its neighbours flow`, async () => {
        const flow = channel(fresh(), { schema: trust<Order>(), codec: make(at()), groups: ['work'] })
        const other = channel(flow.name, {
          schema: trust<object>(),
          codec: at().jsonSchema({
            schema: { type: 'object', title: name, properties: {} },
            register: true,
            subject: `other-${flow.name}`,
          }),
          groups: ['work'],
        })
        const raw = channel(flow.name, {
          schema: trust<Buffer>(),
          groups: ['work'],
          codec: { contentType: 'x/raw', encode: (value) => value as Buffer, decode: (body) => body },
        })
        const bus = await open()
        const seen: Order[] = []
        await bus.start(consumer(flow, 'work', (order) => void seen.push(order)))
        await bus.publish(flow, { id: 'a', cents: 1 })
        const good = Buffer.from(await flow['~definition'].codec.encode({ id: 'x', cents: 300 }, about(flow.name)))
        const unknown = Buffer.from(good)
        unknown.writeUInt32BE(987_654_321, 1)
        await bus.publish(raw, Buffer.from('{"id":"a"}'))
        await bus.publish(raw, unknown)
        await bus.publish(raw, good.subarray(0, -1))
        await bus.publish(other, { id: 5, cents: 'x' })
        await bus.publish(flow, { id: 'b', cents: 2 })
        await until(() => seen.length === 2)
        expect(seen).toMatchObject([{ id: 'a' }, { id: 'b' }])
        const reasons: string[] = []
        await until(async () => {
          reasons.length = 0
          for await (const { reason, attempts, error } of bus.deadLetters(flow, 'work').list())
            reasons.push(`${attempts} ${reason}: ${error.message}`)
          return reasons.length === 4
        })
        for (const text of reasons) expect(text).toMatch(/^1 (undecodable|invalid)/)
        // One each, in whatever order they were written.
        const expected = [
          /begins with byte 123/,
          /no schema 987654321/,
          name === 'json'
            ? /it is no data of schema \d+: /
            : /it is no data of schema \d+: (?:truncated|index out of range)/,
          name === 'json' ? /refuses what was written with schema \d+: .*'?cents/ : /is JSON, and this codec reads/,
        ]
        for (const text of expected)
          expect(
            reasons.filter((reason) => text.test(reason)),
            String(text),
          ).toHaveLength(1)
      })
    }

    test('waves: a v1 publisher, v2 consumers, v2 publishers; a reader that cannot resolve says which field', async () => {
      const name = fresh()
      const v2 = record(field('id', 'string'), field('cents', 'int'), field('note', 'string', { default: '-' }))
      const v3 = record(field('id', 'string'), field('who', 'string'))
      const of = (schema: object, group: string) =>
        channel(name, {
          schema: trust<any>(),
          groups: ['two', 'three'],
          codec: at().avro({ schema, register: group === '' }),
        })
      const bus = await open()
      const seen: unknown[] = []
      await bus.start(
        consumer(of(v2, 'two'), 'two', (order) => void seen.push(order)),
        consumer(of(v3, 'three'), 'three', (order) => void seen.push(order)),
      )
      await bus.publish(of(v1, ''), { id: 'a', cents: 1 })
      await bus.publish(of(v2, ''), { id: 'b', cents: 2, note: 'n' })
      await until(() => seen.length === 2)
      expect(seen).toEqual([
        { id: 'a', cents: 1, note: '-' },
        { id: 'b', cents: 2, note: 'n' },
      ])
      const reasons: string[] = []
      await until(async () => {
        reasons.length = 0
        for await (const { error } of bus.deadLetters(of(v3, 'three'), 'three').list()) reasons.push(error.message)
        return reasons.length === 2
      })
      for (const text of reasons)
        expect(text).toMatch(/schema \d+, which the reader's schema.* cannot read: field 'who' was not written/)
    })

    test('what cannot be read is counted by health, with its reason', async () => {
      const name = fresh()
      const of = (schema: object, register: boolean) =>
        channel(name, { schema: trust<any>(), groups: ['work'], codec: at().avro({ schema, register }) })
      const bus = await open()
      const reader = of(record(field('id', 'string'), field('who', 'string')), false)
      await bus.start(consumer(reader, 'work', () => {}))
      await bus.publish(of(v1, true), { id: 'a', cents: 1 })
      await until(() => bus.health().drift.length > 0)
      expect(bus.health()).toMatchObject({
        status: 'up',
        drift: [
          {
            channel: name,
            group: 'work',
            undecodable: 1,
            invalid: 0,
            last: { reason: expect.stringContaining("field 'who' was not written") },
          },
        ],
      })
    })

    describe('what a start can require', () => {
      const levelOf = (subject: string, compatibility: string): Promise<unknown> =>
        fetch(`${registry().url}/config/${subject}`, {
          method: 'PUT',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ compatibility }),
        })
      const flowOf = (name: string, options: object) =>
        channel(name, { schema: trust<any>(), codec: at({ failureTtl: '1ms' }).avro(options), groups: ['work'] })
      const starting = async (flow: ReturnType<typeof flowOf>): Promise<unknown> => {
        const bus = await open()
        return bus.start(consumer(flow, 'work', () => {})).then(
          () => 'started',
          ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
        )
      }
      test('that the schema is registered', async () => {
        const name = fresh()
        const flow = flowOf(name, { schema: v1, require: 'registered' })
        expect(await starting(flow)).toMatch(
          new RegExp(
            `^SCHEMA_NOT_REGISTERED: Channel '${name}': its schema is not registered under subject '${name}-value'`,
          ),
        )
        const bus = await open()
        await expect(bus.prepare(flow)).rejects.toMatchObject({ code: 'SCHEMA_NOT_REGISTERED' })
        await put(registry().url, `${name}-value`, v1)
        expect(await starting(flow)).toBe('started')
        await bus.prepare(flow)
      })
      test('that there is a latest one, where the channel writes that', async () => {
        const name = fresh()
        const flow = flowOf(name, { require: 'registered' })
        expect(await starting(flow)).toContain(`there is no schema under subject '${name}-value'`)
        await put(registry().url, `${name}-value`, v1)
        expect(await starting(flow)).toBe('started')
      })
      test('that it is compatible with the latest: an old reader that cannot read it does not start', async () => {
        const name = fresh()
        const subject = `${name}-value`
        await put(registry().url, subject, v1)
        await put(registry().url, subject, record(field('id', 'string')))
        await levelOf(subject, 'BACKWARD')
        expect(await starting(flowOf(name, { schema: v1, require: 'registered' }))).toBe('started')
        expect(await starting(flowOf(name, { schema: v1, require: 'compatible' }))).toMatch(
          /^SCHEMA_INCOMPATIBLE: .* consumers with this schema cannot read what is written with version 2 \(id \d+\): field 'cents' was not written, and has no default/,
        )
        expect(await starting(flowOf(name, { schema: record(field('id', 'string')), require: 'compatible' }))).toBe(
          'started',
        )
      })
      test('that a registered one of an older version still reads what is written now, whatever the level', async () => {
        const name = fresh()
        const subject = `${name}-value`
        const narrow = record(field('id', 'string'))
        await put(registry().url, subject, narrow)
        await put(registry().url, subject, record(field('id', 'string'), field('who', 'string')))
        await levelOf(subject, 'FORWARD')
        expect(await starting(flowOf(name, { schema: narrow, require: 'compatible' }))).toBe('started')
      })
      test('with register it is registered then', async () => {
        const name = fresh()
        expect(await starting(flowOf(name, { schema: v1, require: 'compatible', register: true }))).toBe('started')
        expect((await fetch(`${registry().url}/subjects/${name}-value/versions`)).status).toBe(200)
      })
      test('each type of a channel', async () => {
        const name = fresh()
        const codec = at({ failureTtl: '1ms' }).avro({
          schemas: { placed: v1, gone: { ...v1, name: 'Gone' } },
          subject: ({ type }) => `${name}-${type}`,
          require: 'registered',
        })
        const flow = channel(name, {
          schema: types({ placed: trust<any>(), gone: trust<any>() }),
          codec,
          groups: ['work'],
        })
        await put(registry().url, `${name}-placed`, v1)
        expect(await starting(flow as never)).toContain(`under subject '${name}-gone'`)
        await put(registry().url, `${name}-gone`, { ...v1, name: 'Gone' })
        expect(await starting(flow as never)).toBe('started')
      })
      test('a registry that is away: the start waits for it, and ends with its reason', async () => {
        const bus = await createBus(memory({ name: fresh() }), { logger: false, connectTimeout: '300ms' })
        buses.push(bus)
        const codec = schemaRegistry({ url: 'http://127.0.0.1:1' }).avro({ schema: v1, require: 'registered' })
        const flow = channel(fresh(), { schema: trust<any>(), codec, groups: ['work'] })
        await expect(bus.start(consumer(flow, 'work', () => {}))).rejects.toMatchObject({
          code: 'REGISTRY_UNAVAILABLE',
          message: expect.stringContaining('ECONNREFUSED'),
        })
      })
    })

    test('a Protobuf schema of the application that refers to a registered one', async () => {
      const name = fresh()
      await put(
        registry().url,
        `${name}-address`,
        'syntax = "proto3"; package shop; message Address { string street = 1; }',
        'PROTOBUF',
      )
      const schema =
        'syntax = "proto3"; package shop; import "address.proto"; message Customer { string id = 1; Address home = 2; }'
      const references = [{ name: 'address.proto', subject: `${name}-address`, version: 1 }]
      const codec = at().protobuf({ schema, references, register: true, require: 'registered' })
      const flow = channel(name, { schema: trust<object>(), codec, groups: ['work'] })
      const bus = await open()
      const seen: unknown[] = []
      await bus.start(consumer(flow, 'work', (value) => void seen.push(value)))
      await bus.publish(flow, { id: 'c-1', home: { street: 'Long Street' } })
      await until(() => seen.length === 1)
      expect(seen).toMatchObject([{ id: 'c-1', home: { street: 'Long Street' } }])
    })

    test('a hundred decodes of a new id at one time: one request', async () => {
      const name = fresh()
      const body = await at().avro({ schema: v1, register: true }).encode({ id: 'a', cents: 1 }, about(name))
      const { port } = registry()
      let requests = 0
      const counting = createServer((from, to) => {
        requests++
        const on = request(
          { host: '127.0.0.1', port, path: from.url, method: from.method, headers: from.headers },
          (answer) => {
            to.writeHead(answer.statusCode ?? 500, answer.headers)
            answer.pipe(to)
          },
        )
        from.pipe(on)
      }).listen(0, '127.0.0.1')
      await once(counting, 'listening')
      try {
        const url = `http://127.0.0.1:${(counting.address() as { port: number }).port}${new URL(registry().url).pathname}`
        const codec = schemaRegistry({ url }).avro()
        const values = await Promise.all(Array.from({ length: 100 }, async () => codec.decode(body, about(name))))
        expect(values.every((value) => (value as Order).id === 'a')).toBe(true)
        expect(requests).toBe(1)
      } finally {
        counting.close()
        counting.closeAllConnections()
      }
    })

    test(
      'killed: what is known goes on; an unknown id pauses consuming, and goes on when the registry is back',
      { timeout: 120_000 },
      async () => {
        const broker = registry()
        const memoryName = fresh()
        const name = fresh()
        const quick = { timeout: '1s', failureTtl: '100ms' } as const
        const flow = channel(name, {
          schema: trust<Order>(),
          groups: ['work'],
          codec: at(quick).avro({ schema: v1, register: true }),
        })
        const newer = record(field('id', 'string'), field('cents', 'int'), field('note', 'string', { default: '-' }))
        const later = channel(name, {
          schema: trust<Order>(),
          groups: ['work'],
          codec: at(quick).avro({ schema: newer, register: true }),
        })
        const bus = await open(memoryName)
        const publisher = await open(memoryName)
        const seen: string[] = []
        await bus.start(
          consumer(flow, 'work', {
            retry: { attempts: 2 },
            handler: ({ id }, { attempt }) => void seen.push(`${id} ${attempt}`),
          }),
        )
        await publisher.publish(flow, { id: 'a', cents: 1 })
        await until(() => seen.length === 1)
        // The publisher knows the newer schema before the registry dies; the consumer does not.
        await later['~definition'].codec.encode({ id: 'x', cents: 1 }, about(name))
        await broker.kill()
        try {
          await publisher.publish(flow, { id: 'b', cents: 2 })
          await until(() => seen.length === 2)
          await publisher.publish(later, { id: 'c', cents: 3 })
          await until(() => bus.health().reasons.some((reason) => reason.includes('schemas/ids/')))
          await publisher.publish(flow, { id: 'd', cents: 4 })
          const unknown = channel(name, { schema: trust<Order>(), codec: at(quick).avro(), groups: ['work'] })
          await expect(publisher.publish(unknown, { id: 'e', cents: 5 })).rejects.toMatchObject({
            code: 'REGISTRY_UNAVAILABLE',
            sent: 'no',
            retryable: true,
          })
        } finally {
          await broker.start()
        }
        await until(() => seen.length === 4)
        expect(seen.toSorted()).toEqual(['a 1', 'b 1', 'c 1', 'd 1'])
        const letters: string[] = []
        for await (const { id } of bus.deadLetters(flow, 'work').list()) letters.push(id)
        expect(letters).toEqual([])
        await until(() => bus.health().status === 'up')
      },
    )
  },
  { instance: 'schema-registry' },
)
