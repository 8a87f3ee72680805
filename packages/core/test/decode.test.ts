import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createDecode, type UnknownTypes } from '../src/consume/decode.ts'
import { channel, type Codec, json, PolybusError, trust, types } from '../src/index.ts'
import { wire } from './fake.ts'
import { refuse, schema } from './schema-rig.ts'

const decoder = (shape: unknown) => createDecode(channel('things', { schema: shape as any })['~definition'])
const bad = (reason: string) => ({ ok: false, result: { kind: 'refused', reason } })
const body = (text: string) => ({ body: Buffer.from(text) })

test('a good message gives the output of the schema', () => {
  expect(decoder(z.object({ at: z.coerce.date() }))(wire(body('{"at":"1970-01-01T00:00:00Z"}')))).toEqual({
    ok: true,
    value: { at: new Date(0) },
  })
})
test('bytes that are no JSON are undecodable', () => {
  for (const bad of [Buffer.from('{'), Buffer.from([0, 1, 2]), Buffer.alloc(0)])
    expect(decoder(trust())(wire({ body: bad }))).toMatchObject({
      ok: false,
      result: { kind: 'refused', reason: 'undecodable', error: { code: 'DECODE_FAILED' } },
    })
})
test('what the schema refuses is invalid, with the path', () => {
  const decoded = decoder(z.object({ id: z.string() }))(wire(body('{"id":5}')))
  expect(decoded).toMatchObject(bad('invalid'))
  expect(decoded).toHaveProperty('result.error.message', expect.stringContaining('id: '))
})
test('a schema that throws or rejects makes the message invalid', async () => {
  expect(
    decoder(
      schema(() => {
        throw new Error('x')
      }),
    )(wire()),
  ).toMatchObject(bad('invalid'))
  expect(await decoder(schema(() => Promise.reject(new Error('x'))))(wire())).toMatchObject(bad('invalid'))
})
test('asynchronous schemas answer by a promise', async () => {
  expect(await decoder(schema(async (value) => ({ value: value.id })))(wire(body('{"id":7}')))).toEqual({
    ok: true,
    value: 7,
  })
  expect(await decoder(schema(async () => refuse('no')))(wire())).toMatchObject(bad('invalid'))
})
test('a tombstone is null to the schema', () => {
  expect(decoder(z.object({}).nullable())(wire({ body: null }))).toEqual({ ok: true, value: null })
  expect(decoder(z.object({}))(wire({ body: null }))).toMatchObject(bad('invalid'))
})
test('variants are told apart by the type of the message', () => {
  const decode = decoder(types({ placed: z.object({ id: z.string() }), paid: z.object({ cents: z.number() }) }))
  expect(decode(wire({ type: 'paid', ...body('{"cents":5}') }))).toEqual({
    ok: true,
    value: { type: 'paid', data: { cents: 5 } },
  })
  expect(decode(wire({ type: 'placed', ...body('{"cents":5}') }))).toMatchObject(bad('invalid'))
  for (const type of ['other', undefined, 'toString', '__proto__'])
    expect(decode(wire({ type }))).toMatchObject(bad('invalid'))
})

describe('a type that the channel does not know', () => {
  const events = channel('events', { schema: types({ paid: z.object({ cents: z.number() }) }) })['~definition']
  const other = wire({ type: 'other', ...body('{"cents":"5"}') })
  const decode = (how: UnknownTypes, message = other) => createDecode(events, how)(message)
  test('is a dead letter, ignored, or handed over unchecked', () => {
    expect(decode('dead-letter')).toMatchObject(bad('invalid'))
    expect(decode('ignore')).toEqual({ ok: false, result: { kind: 'done' } })
    expect(decode('ignore', wire({ type: undefined, ...body('no JSON') }))).toMatchObject({
      ok: false,
      result: { kind: 'done' },
    })
    expect(decode('handle')).toEqual({ ok: true, value: { type: 'other', data: { cents: '5' } } })
    expect(decode('handle', wire({ type: 'other', ...body('no JSON') }))).toMatchObject(bad('undecodable'))
  })
  test('one that it knows is checked all the same', () => {
    for (const how of ['ignore', 'handle'] as const)
      expect(decode(how, wire({ type: 'paid', ...body('{}') }))).toMatchObject(bad('invalid'))
  })
})

describe('a codec that asks somebody', () => {
  const reading = (decode: Codec['decode']) =>
    createDecode(channel('things', { schema: trust(), codec: { ...json, decode } })['~definition'])
  test('is waited for, and told channel and type', async () => {
    const seen: unknown[] = []
    const decode = reading(async (raw, about) => (seen.push(about), json.decode(raw)))
    for (const type of ['a', 'a', 'b'])
      expect(await decode(wire({ type, ...body('1') }))).toEqual({ ok: true, value: 1 })
    expect(seen).toEqual(['a', 'a', 'b'].map((type) => ({ channel: 'things', type })))
  })
  test('which is away says nothing about the message; what it refuses does', async () => {
    const away = new PolybusError('REGISTRY_UNAVAILABLE', 'asleep')
    expect(await reading(() => Promise.reject(away))(wire())).toEqual({
      ok: false,
      result: { kind: 'unavailable', error: away },
    })
    const now = reading(() => {
      throw away
    })
    expect(now(wire())).toEqual({ ok: false, result: { kind: 'unavailable', error: away } })
    const refused = new PolybusError('DECODE_FAILED', 'schema 7 is unknown')
    const decoded = await reading(() => Promise.reject(refused))(wire())
    expect(decoded).toMatchObject(bad('undecodable'))
    expect(decoded).toHaveProperty('result.error.message', expect.stringContaining('schema 7 is unknown'))
  })
})

describe('versions', () => {
  const shape = z.object({ name: z.string(), cents: z.number() })
  const upcast = {
    1: (old: { euros: number }) => ({ cents: old.euros * 100 }),
    2: (old: { cents: number }) => ({ ...old, name: 'unnamed' }),
  }
  const decode = (over: object, dataSchema?: string, text = '{"euros":5}') =>
    createDecode(channel('things', { schema: shape as any, ...over })['~definition'])(
      wire({ dataSchema, ...body(text) }),
    )
  const at = (version: number) => `urn:polybus:things:v${version}`
  test('old data goes through every step, and is validated then', () => {
    const today = { ok: true, value: { name: 'unnamed', cents: 500 } }
    for (const dataSchema of [undefined, at(1), 'https://example.com/schema'])
      expect(decode({ version: 3, upcast }, dataSchema)).toEqual(today)
    expect(decode({ version: 3, upcast }, at(2), '{"cents":500}')).toEqual(today)
    expect(decode({ version: 3, upcast }, at(3), '{"cents":500,"name":"unnamed"}')).toEqual(today)
    expect(decode({ version: 3, upcast }, at(3))).toMatchObject(bad('invalid'))
    expect(decode({ version: 3, upcast: { ...upcast, 2: () => ({}) } })).toMatchObject(bad('invalid'))
  })
  test('what leads nowhere, or throws, is a dead letter that says so', () => {
    const nowhere = decode({ version: 3, upcast: { 2: upcast[2] } }, at(1))
    expect(nowhere).toMatchObject(bad('invalid'))
    expect(nowhere).toHaveProperty('result.error.message', expect.stringContaining('add upcast[1]'))
    const thrown = decode({ version: 3, upcast }, at(1), 'null')
    expect(thrown).toMatchObject(bad('invalid'))
    expect(thrown).toHaveProperty('result.error.message', expect.stringContaining('upcast[1] threw'))
  })
  test('of a newer version the schema decides, and the reason names it', () => {
    expect(decode({ version: 2, upcast: { 1: upcast[1] } }, at(9), '{"cents":5,"name":"x","more":1}')).toMatchObject({
      ok: true,
    })
    const refused = decode({}, at(9))
    expect(refused).toHaveProperty('result.error.message', expect.stringContaining('of version 9'))
  })
  test('of several types an older one may have another name', () => {
    const events = types({ paid: z.object({ cents: z.number() }) })
    const rename = { 1: ({ data }: any) => ({ type: 'paid', data: { cents: data.euros * 100 } }) }
    const definition = channel('things', { schema: events, version: 2, upcast: rename })['~definition']
    for (const how of ['dead-letter', 'ignore', 'handle'] as const)
      expect(createDecode(definition, how)(wire({ type: 'payed', ...body('{"euros":5}') }))).toEqual({
        ok: true,
        value: { type: 'paid', data: { cents: 500 } },
      })
  })
})
