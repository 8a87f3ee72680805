import { expect, test } from 'vitest'
import { z } from 'zod'
import { createDecode } from '../src/consume/decode.ts'
import { channel, trust, types } from '../src/index.ts'
import { wire } from './fake.ts'
import { refuse, schema } from './schema-rig.ts'

const decoder = (shape: unknown) => createDecode(channel('things', { schema: shape as any })['~definition'])
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
      reason: 'undecodable',
      error: { code: 'DECODE_FAILED' },
    })
})
test('what the schema refuses is invalid, with the path', () => {
  const decoded = decoder(z.object({ id: z.string() }))(wire(body('{"id":5}')))
  expect(decoded).toMatchObject({ ok: false, reason: 'invalid', error: { code: 'DECODE_FAILED' } })
  expect(decoded).toHaveProperty('error.message', expect.stringContaining('id: '))
})
test('a schema that throws or rejects makes the message invalid', async () => {
  expect(
    decoder(
      schema(() => {
        throw new Error('x')
      }),
    )(wire()),
  ).toMatchObject({ ok: false, reason: 'invalid' })
  expect(await decoder(schema(() => Promise.reject(new Error('x'))))(wire())).toMatchObject({
    ok: false,
    reason: 'invalid',
  })
})
test('asynchronous schemas answer by a promise', async () => {
  expect(await decoder(schema(async (value) => ({ value: value.id })))(wire(body('{"id":7}')))).toEqual({
    ok: true,
    value: 7,
  })
  expect(await decoder(schema(async () => refuse('no')))(wire())).toMatchObject({ ok: false, reason: 'invalid' })
})
test('a tombstone is null to the schema', () => {
  expect(decoder(z.object({}).nullable())(wire({ body: null }))).toEqual({ ok: true, value: null })
  expect(decoder(z.object({}))(wire({ body: null }))).toMatchObject({ ok: false, reason: 'invalid' })
})
test('variants are told apart by the type of the message', () => {
  const decode = decoder(types({ placed: z.object({ id: z.string() }), paid: z.object({ cents: z.number() }) }))
  expect(decode(wire({ type: 'paid', ...body('{"cents":5}') }))).toEqual({
    ok: true,
    value: { type: 'paid', data: { cents: 5 } },
  })
  expect(decode(wire({ type: 'placed', ...body('{"cents":5}') }))).toMatchObject({ ok: false, reason: 'invalid' })
  for (const type of ['other', undefined, 'toString', '__proto__'])
    expect(decode(wire({ type }))).toMatchObject({ ok: false, reason: 'invalid' })
})
