// What of a schema changes, for whom, and what handlers get: without a registry.
import { describe, expect, test } from 'vitest'
import { formatOf, type Schema, type SchemaType } from '../src/tools.ts'

const schema = (type: SchemaType, text: string | object, needs: Schema['needs'] = []): Schema => ({
  type,
  schema: typeof text === 'string' ? text : JSON.stringify(text),
  references: [],
  needs,
})
const differences = (type: SchemaType, reader: string | object, writer: string | object, message?: string) =>
  formatOf(type).differences(schema(type, reader), schema(type, writer), message)
const object = (properties: object, more: object = {}): object => ({ type: 'object', properties, ...more })
const text = { type: 'string' }

test.each<[string, object, object, string[]]>([
  ['the same', object({ id: text }, { required: ['id'] }), object({ id: text }, { required: ['id'] }), []],
  ['a field more that may be missing', object({ id: text, who: text }), object({ id: text }), []],
  [
    'one that may not',
    object({ id: text }, { required: ['id'] }),
    object({ id: text }),
    ["field 'id' may be missing, and is required"],
  ],
  [
    'another type, deep down',
    object({ a: object({ b: { type: 'array', items: { type: 'integer' } } }) }),
    object({ a: object({ b: { type: 'array', items: text } }) }),
    ["field 'a.b[]' may be string, and has to be integer"],
  ],
  ['a wider type', object({ n: { type: 'number' } }), object({ n: { type: 'integer' } }), []],
  ['one of several', object({ n: { type: ['string', 'null'] } }), object({ n: text }), []],
  [
    'an enumeration that lost a value',
    object({ k: { enum: ['a'] } }),
    object({ k: { enum: ['a', 'b'] } }),
    [`field 'k' may be "b", and has to be one of "a"`],
  ],
  [
    'a field that is no longer allowed',
    object({}, { additionalProperties: false }),
    object({ x: text }, { additionalProperties: false }),
    ["field 'x' may be there, and is not allowed"],
  ],
  [
    'an open one before a closed one',
    object({}, { additionalProperties: false }),
    object({}),
    ['other fields may be there, and are not allowed'],
  ],
  [
    'behind references, in a circle too',
    { ...object({ a: { $ref: '#/$defs/node' } }), $defs: { node: object({ up: { $ref: '#/$defs/node' }, n: text }) } },
    {
      ...object({ a: { $ref: '#/$defs/node' } }),
      $defs: { node: object({ up: { $ref: '#/$defs/node' }, n: { type: 'integer' } }) },
    },
    ["field 'a.n' may be integer, and has to be string"],
  ],
])('JSON Schema: %s', (_, reader, writer, expected) => {
  expect(differences('JSON', reader, writer)).toEqual(expected)
})

const proto = (fields: string, more = ''): string => `syntax = "proto3"; package a; message M { ${fields} } ${more}`
test.each<[string, string, string, string[]]>([
  ['a field more', proto('string id = 1; int32 n = 2;'), proto('string id = 1;'), []],
  ['types that are read as each other', proto('int64 n = 1; bytes b = 2;'), proto('int32 n = 1; string b = 2;'), []],
  [
    'another type',
    proto('int32 id = 1;'),
    proto('string id = 1;'),
    ["field 'id': string was written, int32 is wanted"],
  ],
  [
    'another number',
    proto('string id = 2;'),
    proto('string id = 1;'),
    ["field 'id' was written with number 1, and is read with 2"],
  ],
  [
    'in an inner message, in a circle too',
    proto('In in = 1;', 'message In { sint32 n = 1; M up = 2; }'),
    proto('In in = 1;', 'message In { int32 n = 1; M up = 2; }'),
    ["field 'in.n': int32 was written, sint32 is wanted"],
  ],
  [
    'a map',
    proto('map<string, int32> m = 1;'),
    proto('string m = 1;'),
    ["field 'm': string was written, map<string, int32> is wanted"],
  ],
  [
    'the message is gone',
    proto('string id = 1;'),
    'syntax = "proto3"; package a; message Other {}',
    ["message 'M' is not there"],
  ],
  [
    'required, which proto2 has',
    'syntax = "proto2"; message M { required string id = 1; }',
    'syntax = "proto2"; message M {}',
    ["field 'id' was not written, and is required"],
  ],
])('Protobuf: %s', (_, reader, writer, expected) => {
  expect(differences('PROTOBUF', reader, writer)).toEqual(expected)
})
test('Protobuf: the message that is meant', () => {
  const two = 'syntax = "proto3"; message A { string x = 1; } message B { string y = 1; }'
  expect(differences('PROTOBUF', two, two.replace('string y', 'bool y'), 'B')).toEqual([
    "field 'y': bool was written, string is wanted",
  ])
  expect(differences('PROTOBUF', two, two.replace('string y', 'bool y'))).toEqual([])
})
test('Avro: by its own rules', () => {
  const record = (...fields: object[]): object => ({ type: 'record', name: 'R', fields })
  expect(differences('AVRO', record({ name: 'id', type: 'string' }), record({ name: 'id', type: 'int' }))).toEqual([
    "field 'id': int was written, string is wanted",
  ])
  expect(differences('AVRO', record({ name: 'n', type: 'long' }), record({ name: 'n', type: 'int' }))).toEqual([])
})

test('the shape of Avro is what handlers get', () => {
  const line = {
    type: 'record',
    name: 'Line',
    fields: [
      { name: 'sku', type: 'string' },
      { name: 'up', type: ['null', 'Order'] },
    ],
  }
  const shape = formatOf('AVRO').shape(
    schema('AVRO', {
      type: 'record',
      name: 'Order',
      namespace: 'shop',
      fields: [
        { name: 'lines', type: { type: 'array', items: line } },
        { name: 'raw', type: 'bytes' },
        { name: 'either', type: ['int', 'long'] },
        { name: 'kind', type: { type: 'enum', name: 'Kind', symbols: ['A', 'B'] } },
        { name: 'byName', type: { type: 'map', values: 'double' } },
      ],
    }),
    undefined,
  )
  const branch = (name: string): object =>
    object({ [name]: { type: 'integer' } }, { required: [name], additionalProperties: false })
  expect(shape).toMatchObject({
    title: 'Order',
    required: ['lines', 'raw', 'either', 'kind', 'byName'],
    properties: {
      lines: { type: 'array', items: { $ref: '#/definitions/shop.Line' } },
      raw: { tsType: 'Uint8Array' },
      either: { anyOf: [branch('int'), branch('long')] },
      kind: { $ref: '#/definitions/shop.Kind' },
      byName: { type: 'object', additionalProperties: { type: 'number' } },
    },
    definitions: {
      'shop.Kind': { title: 'Kind', enum: ['A', 'B'] },
      'shop.Line': { title: 'Line', properties: { up: { anyOf: [{ type: 'null' }, { $ref: '#' }] } } },
    },
  })
})
test('the shape of Protobuf is what handlers get', () => {
  const shape = formatOf('PROTOBUF').shape(
    schema(
      'PROTOBUF',
      proto(
        'int64 big = 1; optional int32 may = 2; repeated string many = 3; map<string, In> by = 4; In in = 5; oneof one { string s = 6; bool b = 7; }',
        'message In { M up = 1; E e = 2; bytes raw = 3; } enum E { X = 0; Y = 1; }',
      ),
    ),
    undefined,
  )
  expect(shape).toMatchObject({
    title: 'M',
    required: ['big', 'many', 'by', 'in'],
    properties: {
      big: text,
      may: { type: 'integer' },
      many: { type: 'array', items: text },
      by: { additionalProperties: { $ref: '#/definitions/.a.In' } },
      in: { anyOf: [{ $ref: '#/definitions/.a.In' }, { type: 'null' }] },
      s: text,
      b: { type: 'boolean' },
      one: { enum: ['s', 'b'] },
    },
    definitions: {
      '.a.In': { properties: { up: { anyOf: [{ $ref: '#' }, { type: 'null' }] }, raw: { tsType: 'Uint8Array' } } },
      '.a.E': { enum: ['X', 'Y'] },
    },
  })
})
test('the shape of JSON Schema holds what it refers to', () => {
  const other = { $id: 'http://x/o', title: 'Other', properties: { q: { $ref: '#/$defs/q' } }, $defs: { q: text } }
  const shape = formatOf('JSON').shape(
    schema('JSON', object({ o: { $ref: 'other.json' }, q: { $ref: 'other.json#/$defs/q' } }), [
      { ...schema('JSON', other), name: 'other.json' },
    ]),
    undefined,
  )
  expect(shape).toMatchObject({
    properties: { o: { $ref: '#/definitions/referred1' }, q: { $ref: '#/definitions/referred1/$defs/q' } },
    definitions: { referred1: { properties: { q: { $ref: '#/definitions/referred1/$defs/q' } } } },
  })
})

describe('Protobuf messages within messages', () => {
  const file = `syntax = "proto3"; package shop;
message Order { message Line { string sku = 1; int32 qty = 2; } repeated Line lines = 1; }
message Refund { message Line { string reason = 1; int32 cents = 2; } repeated Line lines = 1; }`
  const format = formatOf('PROTOBUF')
  const own = (message: string, text = file) => ({ schema: schema('PROTOBUF', text), message, name: 'the reader' })
  const written = (message: string, value: object, text = file): Buffer =>
    Buffer.from(format.writer(7, schema('PROTOBUF', text), message)(value))
  const reading = (message: string, text = file) =>
    format.reader({ id: 7, schema: schema('PROTOBUF', file) }, own(message, text))

  test('one is not taken for another of the same last name', () => {
    const refund = written('Refund.Line', { reason: 'broken', cents: 500 })
    expect(reading('Refund.Line')(refund)).toEqual({ reason: 'broken', cents: 500 })
    expect(() => reading('Order.Line')(refund)).toThrow(
      'it is a shop.Refund.Line of schema 7, and the reader reads shop.Order.Line',
    )
  })
  test('what changed is told of the one that is meant, and so is its shape', () => {
    const newer = file.replace('int32 qty = 2', 'string qty = 2')
    expect(differences('PROTOBUF', newer, file, 'Order.Line')).toEqual([
      "field 'qty': int32 was written, string is wanted",
    ])
    expect(differences('PROTOBUF', newer, file, 'Refund.Line')).toEqual([])
    expect(format.shape(schema('PROTOBUF', file), 'Refund.Line')).toMatchObject({
      title: 'Line',
      properties: { reason: text, cents: { type: 'integer' } },
    })
  })
  test.each([
    ['int32 qty', 'sint32 qty'],
    ['int32 qty', 'string qty'],
    ['string sku', 'bytes sku'],
  ])('%s read as %s', (was, is) => {
    const read = reading('Order.Line', file.replace(was, is))
    const line = written('Order.Line', { sku: 'a', qty: 3 })
    if (is === 'bytes sku') expect(read(line)).toMatchObject({ qty: 3 })
    else
      expect(() => read(line)).toThrow(
        /written with schema 7, which the reader cannot read: field 'qty': int32 was written/,
      )
  })
  test('two of one oneof are refused: one of them would be gone', () => {
    const one = 'syntax = "proto3"; message M { oneof how { string card = 1; string cash = 2; } optional int32 n = 3; }'
    expect(() => written('M', { card: 'x', cash: 'y' }, one)).toThrow(
      "M can hold one of card, cash (oneof 'how'), and card and cash are set",
    )
    expect(() => written('M', { card: 'x', cash: null, n: 1 }, one)).not.toThrow()
  })
})
