import { PolybusError } from '@polybus/core'
import { expect, test } from 'vitest'
import type { Rest } from '../src/rest.ts'
import { createSchemas } from '../src/schemas.ts'

function rig(answers: Record<string, () => unknown>) {
  const asked: string[] = []
  const time = { now: 0 }
  const rest: Rest = {
    async call(method, path) {
      const what = `${method} ${path.join('/')}`
      asked.push(what)
      await Promise.resolve()
      const answer = answers[what]
      if (!answer) throw new PolybusError('SCHEMA_NOT_REGISTERED', what)
      return answer()
    },
  }
  const schemas = createSchemas(rest, { failureTtlMs: 1000, latestTtlMs: 5000 }, { now: () => time.now })
  return { asked, time, schemas }
}
const text =
  (schema = '"string"', more: object = {}) =>
  () => ({ id: 7, schema, ...more })

test('a hundred that need a new id ask once, and nobody asks again', async () => {
  const { asked, schemas } = rig({ 'GET schemas/ids/7': text() })
  await Promise.all(Array.from({ length: 100 }, async () => schemas.byId(7)))
  expect(schemas.byId(7)).toMatchObject({ type: 'AVRO', schema: '"string"', needs: [] })
  expect(asked).toEqual(['GET schemas/ids/7'])
})
test('a failure is kept for a moment', async () => {
  let down = true
  const { asked, time, schemas } = rig({
    'GET schemas/ids/7': () => {
      if (down) throw new PolybusError('REGISTRY_UNAVAILABLE')
      return text()()
    },
  })
  for (let tries = 0; tries < 5; tries++)
    await expect(schemas.byId(7)).rejects.toMatchObject({ code: 'REGISTRY_UNAVAILABLE' })
  expect(asked.length).toBe(1)
  down = false
  time.now = 999
  await expect(schemas.byId(7)).rejects.toThrow(PolybusError)
  time.now = 1000
  expect(await schemas.byId(7)).toMatchObject({ schema: '"string"' })
  expect(asked.length).toBe(2)
})
test('the latest is looked for again after its time, beside what goes on with the old one; and the old one stays while the registry is away', async () => {
  let answer = text('"string"')
  const { asked, time, schemas } = rig({ 'GET subjects/s/versions/latest': () => answer() })
  expect(await schemas.latest('s')).toMatchObject({ schema: { schema: '"string"' } })
  time.now = 4999
  expect(schemas.latest('s')).not.toBeInstanceOf(Promise)
  expect(asked.length).toBe(1)
  time.now = 5000
  answer = text('"int"')
  expect(schemas.latest('s')).toMatchObject({ schema: { schema: '"string"' } })
  await new Promise(setImmediate)
  expect(schemas.latest('s')).toMatchObject({ schema: { schema: '"int"' } })
  time.now = 20_000
  answer = () => {
    throw new PolybusError('REGISTRY_UNAVAILABLE')
  }
  for (let tries = 0; tries < 3; tries++) {
    expect(schemas.latest('s')).toMatchObject({ schema: { schema: '"int"' } })
    await new Promise(setImmediate)
  }
  expect(asked.length).toBe(3)
})
test('references are followed, each once, those first that others need', async () => {
  const ref = (subject: string) => ({ name: subject, subject, version: 1 })
  const { asked, schemas } = rig({
    'GET schemas/ids/7': text('top', { references: [ref('a'), ref('b')] }),
    'GET subjects/a/versions/1': text('a', { references: [ref('b')] }),
    'GET subjects/b/versions/1': text('b', { references: [ref('a')] }),
  })
  const { needs } = await schemas.byId(7)
  expect(needs.map(({ name }) => name)).toEqual(['b', 'a'])
  expect(asked).toEqual(['GET schemas/ids/7', 'GET subjects/a/versions/1', 'GET subjects/b/versions/1'])
})
test('invented ids do not fill the memory', async () => {
  const { schemas, asked } = rig({ 'GET schemas/ids/0': text() })
  await schemas.byId(0)
  for (let id = 1; id <= 20_000; id++) await Promise.resolve(schemas.byId(id)).catch(() => {})
  await schemas.byId(0)
  expect(asked.filter((what) => what === 'GET schemas/ids/0').length).toBe(2)
})
test('an answer without a schema is none', async () => {
  const { schemas } = rig({
    'GET schemas/ids/7': () => ({}),
    'GET subjects/s/versions/latest': () => ({ schema: 'x' }),
  })
  await expect(schemas.byId(7)).rejects.toMatchObject({ code: 'REGISTRY_UNAVAILABLE' })
  await expect(schemas.latest('s')).rejects.toMatchObject({ code: 'REGISTRY_UNAVAILABLE' })
})
