import { describe, expect, test } from 'vitest'
import { compileFile } from '../src/protobuf/file.ts'
import { declaredInText } from '../src/protobuf/declared.ts'
import { protobufFormat } from '../src/protobuf/format.ts'
import type { Schema } from '../src/schema.ts'

const { writer, reader, nameOf } = protobufFormat()
const schemaOf = (schema: string, ...needs: string[]): Schema => ({
  type: 'PROTOBUF',
  schema,
  references: [],
  needs: needs.map((need) => ({ type: 'PROTOBUF', schema: need, references: [], name: '' })),
})
const proto = `syntax = "proto3"; package shop;
enum Kind { WEB = 0; SHOP = 1; }
message Order {
  string id = 1; int64 cents = 2; Kind kind = 3; repeated Line lines = 4; map<string, Line> where = 5; bytes raw = 6;
  oneof payment { string card = 7; bool cash = 8; } double weight = 9; uint32 count = 10;
  message Line { string sku = 1; }
}`
const order = schemaOf(proto)

describe('what a file declares, in order', () => {
  const names = (text: string): unknown => {
    const show = ({ name, inner }: { name: string | undefined; inner: readonly any[] }): unknown =>
      inner.length > 0 ? [name ?? '-', inner.map(show)] : (name ?? '-')
    return declaredInText(text).map(show)
  }
  test('messages, nested ones, and the entries of maps', () => {
    expect(
      names(`message A { map<string, B> a = 1; message B { message C {} } map < int32 , B > b = 2; } message D {}`),
    ).toEqual([['A', ['-', ['B', ['C']], '-']], 'D'])
  })
  test('and nothing else: options, enums, services, extensions, comments, fields that are called message', () => {
    expect(
      names(`syntax = "proto3"; import "x.proto"; option (o) = { a: 1 }; // message X {}
        enum E { option allow_alias = true; A = 0; } /* message Y {} */
        service S { rpc Call (A) returns (B) { option (http) = { get: "/x" }; } }
        message A { reserved 2, 3; string message = 1 [(o) = { a: { b: 1 } }, deprecated = true]; oneof map_or { string map = 4; } message Z {} }`),
    ).toEqual([['A', ['Z']]])
  })
  test('a file without messages, and one that ends in the middle', () => {
    expect(names('syntax = "proto3"; enum E { A = 0; }')).toEqual([])
    expect(names('message A { message B {')).toEqual([['A', ['B']]])
    expect(() => writer(1, schemaOf('syntax = "proto3"; enum E { A = 0; }'), undefined)).toThrow('declares no message')
  })
})

describe('a value that the message cannot have', () => {
  const write = writer(1, order, undefined)
  const table: [object | number | null, string][] = [
    [{ nope: 1 }, "shop.Order has no field 'nope'"],
    [{ lines: [{ sku: 'a' }, { skuu: 'a' }] }, "shop.Order.Line has no field 'lines[1].skuu'"],
    [{ where: { home: { skuu: 'a' } } }, "has no field 'where.home.skuu'"],
    [{ cents: 'abc' }, "field 'cents': expected a whole number of 64 bits"],
    [{ cents: 2 ** 60 }, "field 'cents'"],
    [{ cents: 0.5 }, "field 'cents'"],
    [{ id: 5 }, "field 'id': expected a text"],
    [{ kind: 'ZOO' }, "field 'kind': expected one of WEB, SHOP"],
    [{ kind: 2 ** 31 }, "field 'kind'"],
    [{ lines: {} }, "field 'lines': expected an array"],
    [{ where: [] }, "field 'where': expected an object"],
    [{ raw: 'text' }, "field 'raw': expected a Uint8Array"],
    [{ cash: 'yes' }, "field 'cash': expected a boolean"],
    [{ weight: '1' }, "field 'weight': expected a number"],
    [{ count: -1 }, "field 'count'"],
    [5, 'shop.Order: expected an object'],
    [null, 'shop.Order: expected an object'],
  ]
  for (const [value, text] of table)
    test(JSON.stringify(value), () => {
      expect(() => write(value)).toThrow(
        expect.objectContaining({ code: 'UNSERIALISABLE', message: expect.stringContaining(text) }),
      )
    })
  test('what was read can be written again', () => {
    const value = {
      id: 'o',
      cents: '-9007199254740993',
      kind: 'SHOP',
      lines: [{ sku: 'a' }],
      where: { x: { sku: 'b' } },
      raw: Buffer.from([1]),
      card: 'c',
      payment: 'card',
      weight: 0.5,
      count: 4,
    }
    const data = Buffer.from(write(value))
    const read = reader({ id: 1, schema: order }, undefined)(data)
    expect(read).toEqual(value)
    expect(Buffer.from(write(read)).equals(data)).toBe(true)
  })
})

test('an own schema reads what an older or newer one has written, and names another message', () => {
  const own = schemaOf(`syntax = "proto3"; package shop; message Order { string id = 1; string more = 20; }`)
  const data = Buffer.from(writer(1, order, undefined)({ id: 'o', cents: 5 }))
  const reading = { schema: own, message: undefined, name: "the reader's schema 2" }
  expect(reader({ id: 1, schema: order }, reading)(data)).toEqual({ id: 'o', more: '' })
  const line = Buffer.from(writer(1, order, 'Order.Line')({ sku: 'x' }))
  expect(() => reader({ id: 1, schema: order }, reading)(line)).toThrow(
    "it is a shop.Order.Line of schema 1, and the reader's schema 2 reads shop.Order",
  )
})
test('a position that the file does not have, and bytes that are none', () => {
  const read = reader({ id: 9, schema: order }, undefined)
  expect(() => read(Buffer.from('0000000009020a', 'hex'))).toThrow('schema 9 has no message at 5')
  expect(() => read(Buffer.from('0000000009000aff', 'hex'))).toThrow('out of range')
})
test("imports: those that are registered, and Google's own", () => {
  const main = schemaOf(
    `syntax = "proto3"; package shop; import "address.proto"; import "google/protobuf/timestamp.proto";
     message Order { base.Address to = 1; google.protobuf.Timestamp at = 2; }`,
    `syntax = "proto3"; package base; message Address { string street = 1; }`,
  )
  const value = { to: { street: 's' }, at: { seconds: '5', nanos: 1 } }
  expect(reader({ id: 1, schema: main }, undefined)(Buffer.from(writer(1, main, undefined)(value)))).toEqual(value)
  expect(compileFile(main).pathOf(compileFile(main).byName('Order'))).toEqual([0])
})
test('names, with and without the package', () => {
  expect(nameOf(order, undefined)).toBe('shop.Order')
  expect(nameOf(order, 'Order.Line')).toBe('shop.Order.Line')
  expect(() => writer(1, order, 'Nobody')).toThrow("declares no message 'Nobody'")
  expect(() => writer(1, schemaOf('message {'), undefined)).toThrow(expect.objectContaining({ code: 'SCHEMA_INVALID' }))
})
