import { describe, expect, test } from 'vitest'
import { avroFormat } from '../src/avro/format.ts'
import type { Schema } from '../src/schema.ts'

const { writer, reader, nameOf } = avroFormat()
const schemaOf = (schema: unknown, ...needs: unknown[]): Schema => ({
  type: 'AVRO',
  schema: JSON.stringify(schema),
  references: [],
  needs: needs.map((need) => ({ type: 'AVRO', schema: JSON.stringify(need), references: [], name: '' })),
})
const record = (name: string, ...fields: object[]): object => ({ type: 'record', name, fields })
const field = (name: string, type: unknown, more: object = {}): object => ({ name, type, ...more })
const dataOf = (schema: Schema, value: unknown): Buffer => Buffer.from(writer(1, schema, undefined)(value))
const evolve = (from: object, value: unknown, to: object): unknown =>
  reader(
    { id: 1, schema: schemaOf(from) },
    { schema: schemaOf(to), message: undefined, name: "the reader's schema 2" },
  )(dataOf(schemaOf(from), value))
const message = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    return (error as Error).message
  }
  throw new Error('nothing was thrown')
}

describe('a value that the schema does not have whole', () => {
  const address = record('Address', field('street', 'string'))
  const order = schemaOf(
    record(
      'Order',
      field('id', 'string'),
      field('address', ['null', address], { default: null }),
      field('lines', { type: 'array', items: record('Line', field('sku', 'string')) }, { default: [] }),
      field('by', { type: 'map', values: 'Address' }, { default: {} }),
      field('next', ['null', 'Order'], { default: null }),
    ),
  )
  const write = writer(1, order, undefined)
  const table: [string, object][] = [
    ['more', { id: 'a', more: 1 }],
    ['address.city', { id: 'a', address: { street: 's', city: 'c' } }],
    ['lines[1].n', { id: 'a', lines: [{ sku: 'x' }, { sku: 'y', n: 1 }] }],
    ['by.home.city', { id: 'a', by: { home: { street: 's', city: 'c' } } }],
    ['next.next.more', { id: 'a', next: { id: 'b', next: { id: 'c', more: 1 } } }],
  ]
  for (const [path, value] of table)
    test(`is refused by its field: ${path}`, () => {
      expect(() => write(value)).toThrow(
        expect.objectContaining({ code: 'UNSERIALISABLE', message: `the schema has no field '${path}'` }),
      )
    })
  test('undefined is no field; what is missing gets its default', () => {
    expect(reader({ id: 1, schema: order }, undefined)(dataOf(order, { id: 'a', more: undefined }))).toEqual({
      id: 'a',
      address: null,
      lines: [],
      by: {},
      next: null,
    })
  })
  test('of several records in a union each has its own', () => {
    const either = schemaOf([record('A', field('a', 'int')), record('B', field('b', 'int'))])
    const of = writer(1, either, undefined)
    of({ A: { a: 1 } })
    expect(() => of({ B: { b: 1, c: 2 } })).toThrow("no field 'c'")
  })
})

describe('large values', () => {
  const text = schemaOf('string')
  test('longer than the buffer that is kept, and short ones after them', () => {
    const write = writer(7, text, undefined)
    for (const length of [10, 9000, 5_000_000, 3, 70_000]) {
      const bytes = Buffer.from(write('x'.repeat(length)))
      expect(bytes.readUInt32BE(1)).toBe(7)
      expect(reader({ id: 7, schema: text }, undefined)(bytes)).toBe('x'.repeat(length))
    }
  })
  test('what was written is not overwritten by the next', () => {
    const write = writer(7, text, undefined)
    const [one] = [write('one'), write('two')]
    expect(String(one?.subarray(6))).toBe('one')
  })
})

describe('evolution', () => {
  const v1 = record('Order', field('id', 'string'), field('cents', 'int'))
  test('a field more with a default, one less, a wider type, another name', () => {
    expect(
      evolve(
        v1,
        { id: 'a', cents: 1 },
        record('Order', field('id', 'string'), field('note', 'string', { default: '-' })),
      ),
    ).toEqual({ id: 'a', note: '-' })
    expect(evolve(v1, { id: 'a', cents: 1 }, record('Order', field('id', 'string'), field('cents', 'long')))).toEqual({
      id: 'a',
      cents: 1,
    })
    expect(evolve(v1, { id: 'a', cents: 1 }, record('Order', field('key', 'string', { aliases: ['id'] })))).toEqual({
      key: 'a',
    })
  })
  const drifts: [string, object, string[]][] = [
    [
      'a field more without a default',
      record('Order', field('id', 'string'), field('who', 'string')),
      ["field 'who' was not written, and has no default"],
    ],
    [
      'another type',
      record('Order', field('id', 'int'), field('cents', 'string')),
      ["field 'id': string was written, int is wanted", "field 'cents': int was written, string is wanted"],
    ],
    ['no record', { type: 'map', values: 'string' }, ['Order was written, map is wanted']],
    [
      'another enum',
      record('Order', field('id', { type: 'enum', name: 'Kind', symbols: ['a', 'b'] })),
      ["field 'id': string was written, Kind (a, b) is wanted"],
    ],
  ]
  for (const [what, to, texts] of drifts)
    test(`${what}: the reason has both schemas and the fields`, () => {
      const text = message(() => evolve(v1, { id: 'a', cents: 1 }, to))
      expect(text).toMatch(/schema 1, which the reader's schema 2 cannot read/)
      for (const part of texts) expect(text).toContain(part)
    })
  test('deep in lists and maps', () => {
    const at = (type: unknown): object =>
      record('Top', field('lists', { type: 'array', items: { type: 'map', values: record('In', field('n', type)) } }))
    expect(message(() => evolve(at('string'), { lists: [] }, at('int')))).toContain(
      "field 'lists[].*.n': string was written, int is wanted",
    )
  })
})

test('what refers to others has them', () => {
  const address = { type: 'record', name: 'Address', namespace: 'shop', fields: [field('street', 'string')] }
  const order = schemaOf(
    { type: 'record', name: 'Order', namespace: 'shop', fields: [field('to', 'shop.Address')] },
    address,
  )
  expect(reader({ id: 1, schema: order }, undefined)(dataOf(order, { to: { street: 's' } }))).toEqual({
    to: { street: 's' },
  })
})
test('the full name', () => {
  expect(nameOf(schemaOf({ type: 'record', name: 'O', namespace: 'a.b', fields: [] }), undefined)).toBe('a.b.O')
  expect(nameOf(schemaOf({ type: 'record', name: 'x.O', namespace: 'a.b', fields: [] }), undefined)).toBe('x.O')
  expect(nameOf(schemaOf('string'), undefined)).toBeUndefined()
})
test('no schema is named as such', () => {
  for (const text of ['{', '{"type":"recrd"}', '{"type":"record","name":"A"}'])
    expect(() => writer(1, { ...schemaOf('x'), schema: text }, undefined), text).toThrow(
      expect.objectContaining({ code: 'SCHEMA_INVALID' }),
    )
})
