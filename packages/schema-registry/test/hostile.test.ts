// Values that would leave as something else, bodies that promise more than they hold, and registries that answer anything.
import { channel, type CodecContext, PolybusError, trust } from '@polybus/core'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { schemaRegistry, type SchemaRegistry } from '../src/index.ts'
import { formatOf, type Schema, type SchemaType } from '../src/tools.ts'

const schema = (type: SchemaType, text: string | object): Schema => ({
  type,
  schema: typeof text === 'string' ? text : JSON.stringify(text),
  references: [],
  needs: [],
})
const record = (...fields: object[]): object => ({ type: 'record', name: 'R', fields })
const writer = (type: SchemaType, text: string | object) => formatOf(type).writer(7, schema(type, text), undefined)
const reader = (type: SchemaType, text: string | object) =>
  formatOf(type).reader({ id: 7, schema: schema(type, text) }, undefined)
const frame = (...bytes: number[]): Buffer => Buffer.from([0, 0, 0, 0, 7, ...bytes])
/** Avro's zigzag. */
const long = (value: number): number[] => {
  const bytes: number[] = []
  for (let rest = BigInt(value) * 2n; ; rest >>= 7n) {
    const more = rest >= 128n
    bytes.push(Number(rest & 127n) | (more ? 128 : 0))
    if (!more) return bytes
  }
}
const refusal = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    return (error as Error).message
  }
  throw new Error('it was not refused')
}

describe('Avro', () => {
  test.each<[string, object]>([
    ['an array', { type: 'array', items: 'int' }],
    ['an array of what takes no bytes', { type: 'array', items: 'null' }],
    ['a map', { type: 'map', values: 'int' }],
    ['within a union', ['null', { type: 'array', items: 'int' }] as never],
  ])('%s that promises a thousand million items is refused at once', (_, inner) => {
    const branch = Array.isArray(inner) ? [2] : []
    const read = reader('AVRO', record({ name: 'a', type: inner }))
    expect(refusal(() => read(frame(...branch, ...long(1e9), 0)))).toContain('truncated buffer')
    const own = {
      schema: schema('AVRO', record({ name: 'a', type: inner }, { name: 'b', type: 'int', default: 0 })),
      message: undefined,
      name: 'x',
    }
    const resolving = formatOf('AVRO').reader(
      { id: 7, schema: schema('AVRO', record({ name: 'a', type: inner })) },
      own,
    )
    expect(refusal(() => resolving(frame(...branch, ...long(1e9), 0)))).toContain('truncated buffer')
  })
  test('what is bounded reads what it read before, in blocks with and without their size', () => {
    const read = reader(
      'AVRO',
      record({ name: 'a', type: { type: 'array', items: 'int' } }, { name: 'm', type: { type: 'map', values: 'int' } }),
    )
    // Two blocks of the array, the second with its size; a map whose key is a name that objects have.
    const body = frame(
      ...long(1),
      ...long(5),
      3,
      ...long(2),
      ...long(6),
      ...long(7),
      0,
      ...long(1),
      ...long(9),
      ...Buffer.from('__proto__'),
      ...long(4),
      0,
    )
    const value = read(body) as { a: number[]; m: object }
    expect(value.a).toEqual([5, 6, 7])
    expect(Object.entries(value.m)).toEqual([['__proto__', 4]])
    expect(Object.getPrototypeOf(value.m)).toBe(Object.prototype)
  })
  const one = { type: 'record', name: 'One', fields: [{ name: 'x', type: 'int' }] }
  test.each<[string, unknown, unknown, RegExp]>([
    ['an enum that is a name of every object', { type: 'enum', name: 'E', symbols: ['A'] }, 'toString', /field 'f'/],
    ['half a surrogate pair', 'string', '\ud800', /field 'f': it holds half a surrogate pair/],
    ['too much for a float', 'float', 1e300, /field 'f': it is too large for a float/],
    ['a Map', { type: 'map', values: 'int' }, new Map([['a', 1]]), /field 'f'/],
    ['a Date', { type: 'map', values: 'int' }, new Date(), /field 'f'/],
    [
      'a field more in the second branch',
      [
        { type: 'array', items: one },
        { ...one, name: 'Two' },
      ],
      { x: 1, y: 2 },
      /no field 'f.y'/,
    ],
    ['a text for a number', 'long', 'oops', /field 'f': invalid "long": "oops"/],
  ])('%s is refused with its place', (_, type, value, expected) => {
    expect(refusal(() => writer('AVRO', record({ name: 'f', type }))({ f: value }))).toMatch(expected)
  })
  test('a getter in the place of a field does not hide one that is not declared', () => {
    class Odd {
      extra = 1
      get f(): number {
        return 2
      }
    }
    expect(refusal(() => writer('AVRO', record({ name: 'f', type: 'int' }))(new Odd()))).toContain("no field 'extra'")
  })
  test('a getter that writes with the same codec does not disturb what is being written', () => {
    const write = writer('AVRO', record({ name: 'id', type: 'string' }, { name: 'n', type: 'int' }))
    const value = {
      id: 'outer-id',
      get n(): number {
        write({ id: 'XXXXXXXXXXXX', n: 1 })
        return 2
      },
    }
    expect(write(value)).toEqual(write({ id: 'outer-id', n: 2 }))
  })
  test('what is refused is not repeated at length', () => {
    expect(
      refusal(() => writer('AVRO', record({ name: 'f', type: 'int' }))({ f: 'x'.repeat(1e6) })).length,
    ).toBeLessThan(300)
  })
})

describe('JSON Schema', () => {
  const write = writer('JSON', { type: 'object', properties: {} })
  test.each<[string, unknown, string]>([
    ['a Date', { at: new Date() }, "field 'at'"],
    ['a Map', { m: new Map() }, "field 'm'"],
    ['NaN', { list: [1, NaN] }, "field 'list[1]'"],
    ['a Buffer', { b: Buffer.from('x') }, "field 'b'"],
    ['a bigint', { n: 1n }, "field 'n'"],
    ['undefined in a list', { list: [undefined] }, "field 'list[0]'"],
    ['what writes itself', { o: { toJSON: () => 1 } }, "field 'o'"],
  ])('%s is refused with its place', (_, value, expected) => {
    expect(refusal(() => write(value))).toContain(expected)
  })
  test('a field that is undefined is as good as missing; half a surrogate pair survives', () => {
    const body = write({ a: undefined, b: '\ud800' })
    expect(reader('JSON', { type: 'object' })(Buffer.from(body))).toEqual({ b: '\ud800' })
  })
  test('a schema that answers later is none', () => {
    expect(refusal(() => writer('JSON', { $async: true, type: 'object' }))).toContain('$async')
  })
})

describe('Protobuf', () => {
  const file = `syntax = "proto3"; message M { uint64 u = 1; int64 i = 2; map<int32, string> m = 3; optional string a = 4; In in = 5; string s = 6; }
message In { int64 seconds = 1; }`
  const write = writer('PROTOBUF', file)
  test.each<[string, object, string]>([
    ['more than 64 bits', { u: '18446744073709551616' }, "field 'u'"],
    ['more than 63 bits', { i: '9223372036854775808' }, "field 'i'"],
    ['a key that is no number', { m: { abc: 'x' } }, "field 'm': 'abc' is no int32"],
    ['a Date', { in: new Date() }, 'expected an object'],
    ['a Map', { m: new Map() }, "field 'm'"],
    ['the name that a compiler gives to an optional', { _a: 'a' }, "no field '_a'"],
    ['a name of every object', { constructor: 1 }, "no field 'constructor'"],
    ['half a surrogate pair', { s: '\ud800' }, "field 's'"],
  ])('%s is refused', (_, value, expected) => {
    expect(refusal(() => write(value))).toContain(expected)
  })
  test('the limits themselves are written and read', () => {
    const value = { u: '18446744073709551615', i: '-9223372036854775808', m: { '-1': 'x' } }
    expect(reader('PROTOBUF', file)(Buffer.from(write(value)))).toMatchObject(value)
  })
  test('required and null', () => {
    const own = 'syntax = "proto2"; message M { required int32 n = 1; }'
    expect(refusal(() => writer('PROTOBUF', own)({ n: null }))).toContain("field 'n' is required")
  })
})

describe('a channel', () => {
  const registry = schemaRegistry({ url: 'http://127.0.0.1:1' })
  const v2 = record({ name: 'cents', type: 'int' })
  const upcast = { 1: (old: { euros: number }) => ({ cents: old.euros * 100 }) }
  test('an upcaster behind a codec that makes new of old by itself is refused', () => {
    const define = (codec: ReturnType<SchemaRegistry['avro']>) => () =>
      channel('c', { schema: trust<{ cents: number }>(), codec, version: 2, upcast })
    expect(define(registry.avro({ schema: v2 }))).toThrow("readAs: 'written'")
    expect(define(registry.avro({ schemas: { c: v2 } }))).toThrow("readAs: 'written'")
    expect(define(registry.avro({ schema: v2, readAs: 'written' }))).not.toThrow()
    expect(define(registry.avro())).not.toThrow()
  })
  test('a schema that is none is refused where it is given', () => {
    expect(refusal(() => registry.avro({ schema: { type: 'recrod' } }))).toContain('registry.avro().schema')
    expect(refusal(() => registry.jsonSchema({ schema: { type: 'objec' } }))).toContain('registry.jsonSchema().schema')
    expect(refusal(() => registry.protobuf({ schema: 'syntax = "proto3"; message {' }))).toContain(
      'registry.protobuf().schema',
    )
  })
  test('credentials are in no error, whatever is wrong with the address', () => {
    for (const url of [
      'htp//u:s3cret@h',
      'u:s3cret@host',
      '//u:s3cret@host',
      'ftp://u:s3cret@host',
      'http://u:s3cret@host/?x=1',
    ])
      expect(refusal(() => schemaRegistry({ url }))).not.toContain('s3cret')
    expect(() => schemaRegistry({ url: 'http://u:100%@host' })).not.toThrow()
  })
})

describe('a registry that answers anything', () => {
  const about: CodecContext = { channel: 'c', type: 'c' }
  const serve = async (
    answer: (to: ServerResponse, from: IncomingMessage) => void,
    set: (server: Server) => void = () => {},
  ) => {
    const server = createServer((from, to) => answer(to, from))
    set(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => {
      server.close()
      server.closeAllConnections()
    })
    return schemaRegistry({
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      timeout: '500ms',
      failureTtl: '1ms',
    })
  }
  const decoding = async (registry: SchemaRegistry): Promise<PolybusError> => {
    try {
      await registry.avro().decode(frame(2, 65), about)
    } catch (error) {
      return error as PolybusError
    }
    throw new Error('it was decoded')
  }
  test.each(['null', '[]', '"text"', '{}', '{"schema":null}', '{"schema":1}'])(
    '%s: no message can be blamed',
    async (body) => {
      const registry = await serve((to) => to.end(body))
      expect(await decoding(registry)).toMatchObject({ code: 'REGISTRY_UNAVAILABLE', retryable: true })
    },
  )
  test('references that are null are none', async () => {
    const registry = await serve((to) => to.end('{"schema":"\\"string\\"","references":null}'))
    expect(await registry.avro().decode(frame(2, 65), about)).toBe('A')
  })
  test.each(['-5', '1099511627776', '"1"', 'null'])('id %s: a publish rejects, typed', async (id) => {
    const registry = await serve((to) => to.end(`{"id":${id},"schema":"\\"string\\""}`))
    await expect(registry.avro({ schema: '"string"', register: true }).encode('a', about)).rejects.toMatchObject({
      code: 'REGISTRY_UNAVAILABLE',
    })
  })
  test('another protocol: it ends with its reason', async () => {
    const registry = await serve(
      () => {},
      (server) =>
        server.on('request', (_, to: ServerResponse) =>
          to.socket?.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'),
        ),
    )
    expect(await decoding(registry)).toMatchObject({ code: 'REGISTRY_UNAVAILABLE' })
  })
  test('what a publish has learned a reader need not ask', async () => {
    let requests = 0
    const registry = await serve((to) => {
      requests++
      to.end('{"id":7,"schema":"\\"string\\""}')
    })
    const codec = registry.avro({ schema: '"string"', register: true, readAs: 'written' })
    const body = await codec.encode('A', about)
    expect(await codec.decode(body, about)).toBe('A')
    expect(requests).toBe(1)
  })
  test('a reader whose schema refers to what is missing waits: no message can be blamed', async () => {
    const registry = await serve((to, from) => {
      if (from.url?.includes('/schemas/ids/')) return void to.end('{"schema":"\\"string\\""}')
      to.statusCode = 404
      to.end('{"error_code":40401,"message":"no"}')
    })
    const codec = registry.avro({ schema: '"string"', references: [{ name: 'a', subject: 'a', version: 1 }] })
    await expect(codec.decode(frame(2, 65), about)).rejects.toMatchObject({
      code: 'SCHEMA_NOT_REGISTERED',
      retryable: true,
    })
  })
})
