import { expect, test } from 'vitest'
import { createRegistryCodec } from '../src/codec.ts'
import { createTargets } from '../src/targets.ts'
import type { Format } from '../src/format.ts'
import type { Registered, Schemas } from '../src/schemas.ts'
import { schemaRegistry } from '../src/index.ts'

const registry = schemaRegistry({ url: 'http://127.0.0.1:1' })

test('a codec names the option that is wrong', () => {
  const table: [object, string][] = [
    [{ schma: {} }, 'registry.avro().schma'],
    [{ schema: 5 }, 'registry.avro().schema'],
    [{ schema: '' }, 'registry.avro().schema'],
    [{ schemas: { a: 5 } }, 'registry.avro().schemas'],
    [{ schema: {}, schemas: { a: {} } }, 'registry.avro().schemas'],
    [{ references: {} }, 'registry.avro().references'],
    [{ subject: '' }, 'registry.avro().subject'],
    [{ message: '' }, 'registry.avro().message'],
    [{ id: -1 }, 'registry.avro().id'],
    [{ register: 'yes' }, 'registry.avro().register'],
  ]
  for (const [options, field] of table)
    expect(() => registry.avro(options)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining(field) }),
    )
})
test('what a strategy needs and the schema does not have is said at the first use', async () => {
  const codec = registry.avro({ subject: 'record' })
  expect(() => codec.encode({}, { channel: 'c', type: 'c' })).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining("subject 'record'") }),
  )
  const several = registry.avro({ schemas: { placed: '"string"' } })
  expect(() => several.encode('x', { channel: 'c', type: 'gone' })).toThrow(
    expect.objectContaining({ code: 'INVALID_MESSAGE', message: expect.stringContaining("type 'gone'") }),
  )
})

test('a schema is compiled once: for who writes, and for a hundred that read at one time; a new latest is another one', async () => {
  let compiled = 0
  const format: Format = {
    type: 'JSON',
    contentType: 'x',
    nameOf: () => undefined,
    writer: (id) => (compiled++, () => Buffer.from([0, 0, 0, 0, id])),
    reader: () => (compiled++, () => 'read'),
    differences: () => [],
    shape: () => ({}),
    check: () => {},
  }
  const of = (id: number): Registered => ({ id, schema: { type: 'JSON', schema: '{}', references: [], needs: [] } })
  let latest = of(1)
  const schemas: Schemas = {
    byId: async (id) => of(id).schema,
    latest: () => latest,
    find: async () => of(2),
    register: async () => of(3),
    whole: async (schema) => ({ ...schema, needs: [] }),
  }
  const parts = { format, schemas, judge: () => Promise.reject(new Error('nobody asked')) }
  const about = { channel: 'c', type: 'c' }
  const write = async (options: object): Promise<unknown> => {
    compiled = 0
    const codec = createRegistryCodec({ ...parts, targets: createTargets(format, options) }, options)
    const ids: number[] = []
    for (let times = 0; times < 3; times++) ids.push(Number(Buffer.from(await codec.encode({}, about)).at(-1)))
    return [...ids, compiled]
  }
  expect(await write({})).toEqual([1, 1, 1, 1])
  expect(await write({ schema: {} })).toEqual([2, 2, 2, 1])
  expect(await write({ schema: {}, register: true })).toEqual([3, 3, 3, 1])
  expect(await write({ id: 9 })).toEqual([9, 9, 9, 1])
  const codec = createRegistryCodec({ ...parts, targets: createTargets(format, {}) }, {})
  const idNow = async (): Promise<number | undefined> => Buffer.from(await codec.encode({}, about)).at(-1)
  expect(await idNow()).toBe(1)
  latest = of(4)
  expect(await idNow()).toBe(4)
  compiled = 0
  await Promise.all(Array.from({ length: 100 }, async () => codec.decode(Buffer.from([0, 0, 0, 0, 7]), about)))
  expect(compiled).toBe(1)
})
