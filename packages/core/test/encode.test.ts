import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  bytes,
  channel,
  type ChannelOptions,
  type Codec,
  json,
  PolybusError,
  text,
  trust,
  types,
} from '../src/index.ts'
import { createEncode } from '../src/publish/encode.ts'
import { codeOf, thrown } from './fake.ts'
import { refuse, schema } from './schema-rig.ts'

const circle: Record<string, unknown> = { more: { n: 5n } }
circle['self'] = circle

const encoder = (shape: unknown, over: Partial<ChannelOptions<any, any>> = {}) => {
  const encode = createEncode(channel('things', { schema: shape as any, ...over })['~definition'])
  return (value: unknown): any => JSON.parse(Buffer.from(encode(value, 'things') as Uint8Array).toString())
}
const code = (shape: unknown, value: unknown): string => thrown(() => encoder(shape)(value)).code

describe('what goes on the wire is the input', () => {
  test('as it is', () => {
    const value = { id: 'o-1', cents: 5, tags: ['a', null], deep: { x: true } }
    expect(encoder(trust())(value)).toEqual(value)
  })
  test('not the output of a transform, which would be transformed twice', () => {
    const shape = z.object({ cents: z.string().transform(Number) })
    expect(encoder(shape)({ cents: '5' })).toEqual({ cents: '5' })
  })
  test('without the keys that the schema strips, at every depth', () => {
    const shape = z.object({ id: z.string(), lines: z.array(z.object({ sku: z.string() })) })
    const encode = encoder(shape)
    for (let round = 0; round < 2; round++)
      expect(encode({ id: 'a', secret: 1, lines: [{ sku: 's', secret: 2 }] })).toEqual({
        id: 'a',
        lines: [{ sku: 's' }],
      })
  })
  test('with keys that a transform needs although its result lacks them', () => {
    const shape = schema(({ first, last }) =>
      first && last ? { value: { name: `${first} ${last}` } } : refuse('names'),
    )
    expect(encoder(shape)({ first: 'Ada', last: 'L' })).toEqual({ first: 'Ada', last: 'L' })
  })
  test('without defaults, which the reader adds', () => {
    const shape = z.object({ id: z.string(), size: z.number().default(1) })
    expect(encoder(shape)({ id: 'a' })).toEqual({ id: 'a' })
  })
  test('undefined keys are no keys', () => {
    expect(encoder(trust())({ a: undefined, b: 1 })).toEqual({ b: 1 })
  })
  test('of variants the data alone', () => {
    const shape = types({ placed: z.object({ id: z.string() }) })
    expect(encoder(shape)({ type: 'placed', data: { id: 'x', extra: 1 } })).toEqual({ id: 'x' })
    expect(code(shape, { type: 'gone', data: {} })).toBe('INVALID_MESSAGE')
    expect(code(shape, null)).toBe('INVALID_MESSAGE')
  })
})

describe('null', () => {
  const encode = (options: ChannelOptions<any, any>) => {
    const of = createEncode(channel('things', options)['~definition'])
    return (value: unknown) => of(value, 'things')
  }
  test('is a message without a body, whatever the codec', () => {
    for (const codec of [json, text, bytes]) expect(encode({ schema: trust(), codec })(null)).toBe(null)
    expect(encode({ schema: types({ gone: z.null() }) })({ type: 'gone', data: null })).toBe(null)
    expect(encode({ schema: z.string().nullable() })(null)).toBe(null)
  })
  test('is refused where the schema refuses it', () => {
    expect(thrown(() => encode({ schema: z.string() })(null)).code).toBe('INVALID_MESSAGE')
  })
  test('proves nothing of the codec', () => {
    const mute = { contentType: 'x/mute', encode: () => new Uint8Array([1]), decode: () => 'other' }
    const own = encode({ schema: trust(), codec: mute })
    expect(own(null)).toBe(null)
    expect(thrown(() => own('this')).code).toBe('SCHEMA_NOT_REVERSIBLE')
  })
})

describe('what cannot be read back is refused', () => {
  for (const [name, value] of [
    ['Date', { at: new Date(0) }],
    ['bigint', { n: 5n }],
    ['a bigint in a circle', circle],
    ['Map', { m: new Map([['a', 1]]) }],
    ['Set', { s: new Set([1]) }],
    ['NaN', { n: NaN }],
    ['Infinity', [1, Infinity]],
    ['a hole in an array', [1, undefined, 2]],
    ['a function in an array', [() => 1]],
    [
      'a class instance',
      {
        x: new (class Money {
          toJSON = () => 'EUR 5'
        })(),
      },
    ],
    ['a Uint8Array', { raw: new Uint8Array([1, 2]) }],
  ] as const)
    test(`${name}, through JSON`, () => {
      expect(code(trust(), value)).toBe('SCHEMA_NOT_REVERSIBLE')
      // Not only the first one.
      const encode = encoder(trust())
      encode({ fine: 1 })
      expect(thrown(() => encode(value)).code).toBe('SCHEMA_NOT_REVERSIBLE')
      expect(thrown(() => encode(value)).sent).toBe('no')
    })
  test('a date that the schema wants as a Date', () => {
    expect(code(z.object({ at: z.date() }), { at: new Date(0) })).toBe('SCHEMA_NOT_REVERSIBLE')
  })
  test('a schema that refuses its own bytes', () => {
    const once = schema((value) =>
      typeof value === 'object' && value.raw instanceof Date ? { value } : refuse('no date'),
    )
    expect(code(once, { raw: new Date(0) })).toBe('SCHEMA_NOT_REVERSIBLE')
  })
  test('a codec that cannot read what it writes', () => {
    const codec = {
      contentType: 'x',
      encode: () => Buffer.from('x'),
      decode: () => {
        throw new Error('no')
      },
    }
    expect(thrown(() => encoder(trust(), { codec })(1)).code).toBe('SCHEMA_NOT_REVERSIBLE')
  })
  test('a coerced date passes: the schema turns the text into the Date again', () => {
    const shape = z.object({ at: z.coerce.date() })
    const encode = encoder(shape)
    expect(encode({ at: '2025-01-01T00:00:00.000Z' })).toEqual({ at: '2025-01-01T00:00:00.000Z' })
    expect(encode({ at: new Date(0) })).toEqual({ at: '1970-01-01T00:00:00.000Z' })
  })
  test('-0 is 0, and deep data passes', () => {
    expect(encoder(trust())({ zero: -0 })).toEqual({ zero: 0 })
    let deep: object = { end: true }
    for (let index = 0; index < 300; index++) deep = { deep }
    expect(encoder(trust())(deep)).toEqual(deep)
  })
})

describe('what cannot be written', () => {
  test('a circle, also one with many ways round it: at once', () => {
    const node: Record<string, unknown> = {}
    for (let index = 0; index < 8; index++) node[`way${index}`] = node
    const error = thrown(() => encoder(trust())(node))
    expect([error.code, error.sent]).toEqual(['UNSERIALISABLE', 'no'])
    expect(code(trust(), [node, { node }])).toBe('UNSERIALISABLE')
  })
  test('undefined, a function and a symbol', () => {
    for (const value of [undefined, () => 1, Symbol('x')]) expect(code(trust(), value)).toBe('UNSERIALISABLE')
  })
  test('what the text and bytes codecs do not know', () => {
    expect(thrown(() => encoder(trust(), { codec: text })({})).code).toBe('UNSERIALISABLE')
    expect(thrown(() => encoder(trust(), { codec: bytes })('x')).code).toBe('UNSERIALISABLE')
  })
  test('a toJSON that throws', () => {
    expect(
      code(trust(), {
        toJSON() {
          throw new Error('boom')
        },
      }),
    ).toBe('UNSERIALISABLE')
  })
})

describe('what the schema refuses', () => {
  test('names the path, at most three of them, and nothing was sent', () => {
    const shape = schema(() => ({
      issues: ['a', 'b', 'c', 'd', 'e'].map((key) => ({ message: 'bad', path: ['lines', { key }] })),
    }))
    const error = thrown(() => encoder(shape)({}))
    expect([error.code, error.sent]).toEqual(['INVALID_MESSAGE', 'no'])
    expect(error.message).toContain('lines.a: bad; lines.b: bad; lines.c: bad; and 2 more')
  })
  test('a schema that throws', () => {
    expect(
      code(
        schema(() => {
          throw new Error('boom')
        }),
        1,
      ),
    ).toBe('INVALID_MESSAGE')
  })
})

describe('asynchronous schemas', () => {
  const later = (check: (value: any) => any) => schema((value) => Promise.resolve(value).then(check))
  const run = async (shape: unknown, value: unknown): Promise<Uint8Array> => {
    const encode = createEncode(channel('things', { schema: shape as any })['~definition'])
    return (await encode(value, 'things')) ?? new Uint8Array()
  }
  test('validate, strip and prove just the same', async () => {
    const shape = later((value) => ({ value: { id: value.id } }))
    expect(Buffer.from(await run(shape, { id: 'a', extra: 1 })).toString()).toBe('{"id":"a"}')
    expect(
      await codeOf(
        run(
          later(() => refuse('no')),
          1,
        ),
      ),
    ).toBe('INVALID_MESSAGE')
    expect(
      await codeOf(
        run(
          later((value) => ({ value })),
          { at: new Date(0) },
        ),
      ),
    ).toBe('SCHEMA_NOT_REVERSIBLE')
  })
  test('a rejection is a refusal', async () => {
    expect(
      await codeOf(
        run(
          later(() => Promise.reject(new Error('registry'))),
          1,
        ),
      ),
    ).toBe('INVALID_MESSAGE')
  })
  test('two at a time do not mix what was found of each', async () => {
    const encode = createEncode(
      channel('things', { schema: later((value) => ({ value: { id: value.id } })) as any })['~definition'],
    )
    const [a, b] = await Promise.all([encode({ id: 'a', extra: 1 }, 't'), encode({ id: 'b' }, 't')])
    expect([a, b].map((body) => String(Buffer.from(body ?? [])))).toEqual(['{"id":"a"}', '{"id":"b"}'])
  })
})

describe('codecs that ask somebody first', () => {
  const later: Codec = {
    contentType: 'x/later',
    encode: async (value) => json.encode(value),
    decode: async (body) => json.decode(body),
  }
  const encode = (codec: Codec, shape: unknown = trust()) => {
    const of = createEncode(channel('things', { schema: shape as any, codec })['~definition'])
    return async (value: unknown, type: string) => of(value, type)
  }
  test('are waited for, and their first value is read back as any other', async () => {
    const own = encode(later)
    expect(String(await own({ a: 1 }, 'things'))).toBe('{"a":1}')
    expect(await codeOf(encode({ ...later, decode: async () => 'other' })({ a: 1 }, 't'))).toBe('SCHEMA_NOT_REVERSIBLE')
    expect(await codeOf(encode({ ...later, decode: () => Promise.reject(new Error('no')) })(1, 't'))).toBe(
      'SCHEMA_NOT_REVERSIBLE',
    )
    expect(await codeOf(encode({ ...later, encode: () => Promise.reject(new Error('no')) })(1, 't'))).toBe(
      'UNSERIALISABLE',
    )
  })
  test('are told channel and type', async () => {
    const seen: unknown[] = []
    const codec: Codec = { ...later, encode: (value, about) => (seen.push(about), later.encode(value, about)) }
    await encode(codec, types({ placed: trust<number>() }))({ type: 'placed', data: 1 }, 'placed')
    expect(seen).toEqual([{ channel: 'things', type: 'placed' }])
  })
  test('say by themselves why not, and that nothing was sent', async () => {
    const away = new PolybusError('REGISTRY_UNAVAILABLE', 'it is asleep')
    const codec = { ...later, encode: () => Promise.reject(away) }
    await expect(encode(codec)({ a: 1 }, 't')).rejects.toMatchObject({
      code: 'REGISTRY_UNAVAILABLE',
      retryable: true,
      sent: 'no',
      message: expect.stringContaining("Channel 'things': it is asleep"),
    })
  })
  test('that check by themselves are not read back', async () => {
    const codec: Codec = { ...later, checked: true, decode: () => Promise.reject(new Error('never asked')) }
    expect(String(await encode(codec)({ at: new Date(0) }, 't'))).toBe('{"at":"1970-01-01T00:00:00.000Z"}')
  })
})

describe('codecs', () => {
  test('JSON refuses what is no UTF-8 and keeps a byte order mark out', () => {
    expect(() => json.decode(new Uint8Array([0x22, 0xff, 0x22]))).toThrow(TypeError)
    expect(() => json.decode(Buffer.from('\uFEFF{}'))).toThrow(SyntaxError)
    expect(json.decode(json.encode({ a: 'ü€😀' }))).toEqual({ a: 'ü€😀' })
  })
  test('bytes are copied both ways', () => {
    const raw = new Uint8Array([1, 2, 3])
    const body = bytes.encode(raw)
    raw[0] = 9
    expect([...body]).toEqual([1, 2, 3])
    const out = bytes.decode(body) as Uint8Array
    out[1] = 9
    expect([...body]).toEqual([1, 2, 3])
  })
  test('text goes as it is', () => {
    expect(text.decode(text.encode('zß水'))).toBe('zß水')
    expect(() => text.decode(new Uint8Array([0xc0]))).toThrow(TypeError)
  })
})
