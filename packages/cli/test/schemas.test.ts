// polybus schema …: on a real registry, as a user runs it.
import { describeBroker } from '@polybus/brokers'
import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import { cli, emptyFolder, lines, parsed } from './rig.ts'

const urlOf = (path: string): string => pathToFileURL(join(import.meta.dirname, '../..', path)).href
const ORDER = `[{ name: 'id', type: 'string' }, { name: 'cents', type: 'int' }`
const WITHOUT_DEFAULT = `, { name: 'who', type: 'string' }]`
const WITH_DEFAULT = `, { name: 'who', type: 'string', default: '-' }]`

await describeBroker(
  'registry',
  (registry) => {
    /** A module as an application has it: three channels, and subjects that nobody else has. */
    const application = (
      more: { order?: string; proto?: string; placed?: string; register?: string } = {},
      own = fresh(),
    ) => {
      const { order = ']', proto = 'string id = 1;', placed = '' } = more
      const folder = emptyFolder()
      const module = join(folder, 'channels.mjs')
      writeFileSync(
        module,
        `
import { channel, trust, types } from ${JSON.stringify(urlOf('polybus/dist/index.js'))}
import { schemaRegistry } from ${JSON.stringify(urlOf('schema-registry/dist/index.js'))}
const registry = schemaRegistry({ url: ${JSON.stringify(registry().url)} })
const text = { type: 'string' }
export const orders = channel('orders-${own}', { schema: trust(), codec: registry.avro({ schema:
  { type: 'record', name: 'Order', namespace: 'shop', fields: ${ORDER}${order} } }) })
export const events = channel('events-${own}', {
  schema: types({ placed: trust(), gone: trust() }),
  codec: registry.jsonSchema({
    subject: ({ type }) => 'events-${own}-' + type,
    schemas: {
      placed: { title: 'Placed', type: 'object', properties: { id: text }, required: ['id'${placed}] },
      gone: { title: 'Gone', type: 'object', properties: { why: text } },
    },
  }),
})
export const moves = channel('moves-${own}', { schema: trust(), codec: registry.protobuf({ schema:
  'syntax = "proto3"; message Move { ${proto} }' }) })
export const plain = channel('plain-${own}', { schema: trust() })
`,
      )
      const subjects = [`orders-${own}-value`, `events-${own}-placed`, `events-${own}-gone`, `moves-${own}-value`]
      return { own, folder, module, subjects, at: ['--channels', module] as const }
    }
    const fresh = (): string => randomUUID().slice(0, 8)
    const level = async (subject: string, compatibility: string): Promise<void> => {
      const answer = await fetch(`${registry().url}/config/${subject}`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ compatibility }),
      })
      expect(answer.status).toBe(200)
    }
    /** Registered, and every subject under that level. */
    const registered = async (compatibility: string) => {
      const one = application()
      expect((await cli(['schema', 'register', ...one.at, '--yes'])).code).toBe(0)
      for (const subject of one.subjects) await level(subject, compatibility)
      return one
    }

    test('check, register, check: what is new, what is done, and what is there', async () => {
      const { at, own, subjects } = application()
      const before = await cli(['schema', 'check', ...at])
      expect(before.code).toBe(0)
      expect(lines(before.out).toSorted()).toEqual([
        `new     events-${own}: events-${own}-gone: the subject has no schema yet`,
        `new     events-${own}: events-${own}-placed: the subject has no schema yet`,
        `new     moves-${own}: moves-${own}-value: the subject has no schema yet`,
        `new     orders-${own}: orders-${own}-value: the subject has no schema yet`,
      ])
      expect((await cli(['schema', 'check', ...at, '--registered'])).code).toBe(1)
      const unasked = await cli(['schema', 'register', ...at])
      expect([unasked.code, unasked.err]).toEqual([2, expect.stringContaining('give --yes')])
      const dry = await cli(['schema', 'register', ...at, '--dry-run'])
      expect([dry.code, dry.out]).toEqual([0, ''])
      expect((await cli(['schema', 'check', ...at, '--registered'])).code).toBe(1)
      const done = await cli(['schema', 'register', ...at, '--yes', '--json'])
      expect(done.code).toBe(0)
      expect(
        parsed(done.out)
          .map(({ subject }) => String(subject))
          .toSorted(),
      ).toEqual(subjects.toSorted())
      const again = await cli(['schema', 'register', ...at, '--yes'])
      expect(again).toEqual({ code: 0, out: '', err: 'All are registered.\n' })
      const after = await cli(['schema', 'check', ...at, '--registered', '--json'])
      expect(after.code).toBe(0)
      for (const verdict of parsed(after.out))
        expect(verdict).toMatchObject({ status: 'registered', version: 1, breaks: [] })
      const listed = await cli(['schema', 'ls', ...at, '--json'])
      const ids = new Map(parsed(done.out).map(({ subject, id }) => [subject, id]))
      expect(parsed(listed.out).toSorted((a, b) => (a.subject < b.subject ? -1 : 1))).toEqual(
        subjects.toSorted().map((subject) => ({
          subject,
          versions: [1],
          id: ids.get(subject),
          type: subject.startsWith('orders') ? 'AVRO' : subject.startsWith('moves') ? 'PROTOBUF' : 'JSON',
          compatibility: expect.any(String),
        })),
      )
    })

    test('check says what would break and for whom, under the level of the subject; register refuses all of it', async () => {
      const { own } = await registered('FULL')
      const broken = application({ order: WITHOUT_DEFAULT, proto: 'int32 id = 1;', placed: `, 'n'` }, own)
      const { code, out, err } = await cli(['schema', 'check', ...broken.at])
      expect(code).toBe(1)
      const text = out.replaceAll(/\(id \d+\)/g, '(id N)')
      for (const expected of [
        `BREAKS  orders-${own}: orders-${own}-value, under FULL:\n          consumers with this schema cannot read what is written with version 1 (id N): field 'who' was not written, and has no default\n`,
        `BREAKS  events-${own}: events-${own}-placed, under FULL:\n          consumers with this schema cannot read what is written with version 1 (id N): field 'n' may be missing, and is required\n`,
        `          consumers with version 1 (id N) cannot read what is written with this schema: field 'id': int32 was written, string is wanted\n`,
        `ok      events-${own}: events-${own}-gone: registered, version 1 (id N)\n`,
      ])
        expect(text).toContain(expected)
      expect(err).toBe('3 of 4 schemas would break something, or are none.\n')
      const refused = await cli(['schema', 'register', ...broken.at, '--yes'])
      expect([refused.code, refused.out]).toEqual([1, ''])
      expect(refused.err).toContain('nothing was registered')
      const listed = await cli(['schema', 'ls', ...broken.at, '--json'])
      for (const { versions } of parsed(listed.out)) expect(versions).toEqual([1])
    })
    test('a level looks one way: FORWARD lets a field come, BACKWARD does not', async () => {
      const { own, subjects } = await registered('FORWARD')
      const newer = application({ order: WITHOUT_DEFAULT }, own)
      const forward = await cli(['schema', 'check', `orders-${own}`, ...newer.at])
      expect(forward.code).toBe(0)
      expect(forward.out).toContain('compatible with version 1 under FORWARD, not registered yet')
      await level(subjects[0] ?? '', 'BACKWARD')
      expect((await cli(['schema', 'check', `orders-${own}`, ...newer.at])).code).toBe(1)
      const withDefault = application({ order: WITH_DEFAULT }, own)
      expect((await cli(['schema', 'check', `orders-${own}`, ...withDefault.at])).code).toBe(0)
    })

    test('a level that looks at the latest alone: versions before it do not matter', async () => {
      const { own, subjects } = await registered('NONE')
      const [subject = ''] = subjects
      const wider = application({ order: WITHOUT_DEFAULT }, own)
      expect((await cli(['schema', 'register', `orders-${own}`, ...wider.at, '--yes'])).code).toBe(0)
      const narrow = application({ order: ']' }, own)
      const again = application({ order: `, { name: 'n', type: 'int', default: 0 }]` }, own)
      // Versions: narrow, wider, and now the narrow one with a default: the latest that it has to fit is the wider one.
      await level(subject, 'BACKWARD')
      expect((await cli(['schema', 'check', `orders-${own}`, ...again.at])).code).toBe(0)
      const behind = await cli(['schema', 'check', `orders-${own}`, ...narrow.at, '--json'])
      expect(parsed(behind.out)[0]).toMatchObject({ status: 'registered', version: 1 })
      await level(subject, 'FORWARD')
      const breaking = await cli(['schema', 'check', `orders-${own}`, ...again.at])
      expect(breaking.code).toBe(1)
      expect(breaking.out).toMatch(/consumers with version 2 \(id \d+\) cannot read .*: field 'who' was not written/)
    })

    test('what is no schema is refused with its place', async () => {
      const { at } = application({ order: `, { name: 'who' }]` })
      const checked = await cli(['schema', 'check', ...at])
      expect([checked.code, checked.out]).toEqual([2, ''])
      expect(lines(checked.err)).toEqual([expect.stringContaining('registry.avro().schema: It is no Avro schema')])
    })
    test('one that refers to others is looked at with them: what is none is said beside the rest, and nothing is registered', async () => {
      const { folder, own, module } = application()
      const other = JSON.stringify({ type: 'record', name: 'Address', fields: [{ name: 'street', type: 'string' }] })
      const answer = await fetch(`${registry().url}/subjects/${own}-address/versions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ schema: other }),
      })
      expect(answer.status).toBe(200)
      const more = join(folder, 'more.mjs')
      writeFileSync(
        more,
        `${readFileSync(module, 'utf8')}
export const customers = channel('customers-${own}', { schema: trust(), codec: registry.avro({
  schema: { type: 'record', name: 'Customer', fields: [{ name: 'home', type: 'Adress' }] },
  references: [{ name: 'Address', subject: '${own}-address', version: 1 }] }) })`,
      )
      const at = ['--channels', more] as const
      const checked = await cli(['schema', 'check', ...at])
      expect(checked.code).toBe(1)
      expect(checked.out).toMatch(
        new RegExp(`INVALID customers-${own}: customers-${own}-value:\n +It is no Avro schema`),
      )
      expect(checked.out).toContain(`new     orders-${own}`)
      expect((await cli(['schema', 'register', ...at, '--yes'])).code).toBe(1)
      const listed = parsed((await cli(['schema', 'ls', ...at, '--json'])).out)
      expect(listed.every(({ versions }) => versions.length === 0)).toBe(true)
    })
    test('names of subjects are names of files, each its own', async () => {
      const { folder, own } = application()
      const schema = JSON.stringify({
        title: 'Hostile',
        type: 'object',
        properties: { id: { type: 'string', tsType: 'string }\nglobalThis.pwned = 1\ninterface X {' } },
      })
      const subjects = [`${own}/a b`, `${own}_a_b`, `../${own}`]
      for (const subject of subjects) {
        const answer = await fetch(`${registry().url}/subjects/${encodeURIComponent(subject)}/versions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ schema, schemaType: 'JSON' }),
        })
        expect(answer.status, subject).toBe(200)
      }
      const { code } = await cli(['schema', 'types', ...subjects, '--out', 'types', '--registry', registry().url], {
        directory: folder,
        limitMs: 30_000,
      })
      expect(code).toBe(0)
      const files = readdirSync(join(folder, 'types'))
      expect(files.toSorted()).toEqual(subjects.map((subject) => `${encodeURIComponent(subject)}.ts`).toSorted())
      for (const file of files) {
        const text = readFileSync(join(folder, 'types', file), 'utf8')
        expect(text).toContain('  id?: string\n')
        expect(text).not.toContain('pwned')
      }
    })

    test('diff: lines, what they mean, and an exit code', async () => {
      const { own, at } = await registered('NONE')
      expect(await cli(['schema', 'diff', `orders-${own}`, ...at])).toEqual({
        code: 0,
        out: '',
        err: 'No difference.\n',
      })
      const newer = application({ order: WITHOUT_DEFAULT }, own)
      const local = await cli(['schema', 'diff', `orders-${own}`, ...newer.at])
      expect(local.code).toBe(1)
      for (const expected of [
        `--- orders-${own}-value version 1 (id `,
        `+++ orders-${own}-value of the channel`,
        '+      "name": "who",',
        "newer one read what is written with the older one: no: field 'who' was not written, and has no default",
        'older one read what is written with the newer one: yes',
      ])
        expect(local.out).toContain(expected)
      expect((await cli(['schema', 'register', ...newer.at, '--yes'])).code).toBe(0)
      const subject = `orders-${own}-value`
      const versions = await cli(['schema', 'diff', subject, '--registry', registry().url, '--json'])
      expect([versions.code, parsed(versions.out)]).toEqual([
        1,
        [
          {
            from: expect.stringContaining('version 1'),
            to: expect.stringContaining('version 2'),
            equal: false,
            newCannotRead: ["field 'who' was not written, and has no default"],
            oldCannotRead: [],
          },
        ],
      ])
      const none = await cli(['schema', 'diff', subject, '--registry', registry().url, '--from', '7'])
      expect([none.code, none.err]).toEqual([2, `polybus: Subject '${subject}' has no version 7. It has 1, 2.\n`])
    })

    test('types: a file for each subject, and one on stdout', async () => {
      const { own, at, folder, subjects } = await registered('NONE')
      const { code, err } = await cli(['schema', 'types', ...at, '--out', 'schemas'], {
        directory: folder,
        limitMs: 30_000,
      })
      expect([code, lines(err).toSorted()]).toEqual([0, subjects.map((subject) => `schemas/${subject}.ts`).toSorted()])
      const read = (subject: string): string => readFileSync(join(folder, 'schemas', `${subject}.ts`), 'utf8')
      expect(read(`orders-${own}-value`)).toMatch(
        /^\/\/ orders-.*-value, version 1 \(id \d+\)\. Written by 'polybus schema types': do not edit\.\n\nexport interface Order \{\n  id: string\n  cents: number\n\}\n$/,
      )
      expect(read(`events-${own}-gone`)).toContain('export interface Gone {\n  why?: string\n}')
      expect(read(`moves-${own}-value`)).toContain('export interface Move {\n  id: string\n}')
      const one = await cli(['schema', 'types', `orders-${own}-value`, '--registry', registry().url], {
        limitMs: 30_000,
      })
      expect(one.out).toBe(read(`orders-${own}-value`))
    })

    describe('what cannot be done is one line', () => {
      test.each<[readonly string[], string]>([
        [['ls'], 'Which registry?'],
        [['ls', '--registry', 'localhost'], '--registry: expected an http or https address'],
        [['ls', '--registry', 'http://127.0.0.1:1'], 'ECONNREFUSED'],
        [['check'], 'Whose schemas?'],
        [['types'], 'Which registry?'],
        [['diff', 'nobody-value', '--registry', 'http://user:hidden@127.0.0.1:1'], 'ECONNREFUSED'],
      ])('schema %j', async (words, text) => {
        const { code, out, err } = await cli(['schema', ...words])
        expect([code, out]).toEqual([2, ''])
        expect(lines(err)).toEqual([expect.stringContaining(text)])
        expect(err).not.toContain('hidden')
      })
      test('of a channel without such a codec, a subject that is not there, a module that is wrong', async () => {
        const { own, at } = application()
        const url = ['--registry', registry().url]
        for (const [words, text] of [
          [['check', `plain-${own}`, ...at], `Channel 'plain-${own}' has no codec of a schema registry.`],
          [['check', 'order', ...at], `it has no channel 'order'`],
          [['ls', `nobody-${own}`, ...url], `The registry has no subject 'nobody-${own}'.`],
          [['types', `nobody-${own}`, ...url], `The registry has no subject 'nobody-${own}'.`],
          [['types', ...url], 'Of which subjects?'],
          [['types', ...at], '4 subjects are a file each: give --out FOLDER.'],
          [['diff', `orders-${own}`, ...at], `The registry has no subject 'orders-${own}-value' yet.`],
          [['check', '--channels', './nothing.mjs'], 'it cannot be loaded'],
        ] as const) {
          const { code, out, err } = await cli(['schema', ...words])
          expect([code, out, lines(err).length], err).toEqual([2, '', 1])
          expect(err).toContain(text)
        }
      })
      test('a registry that is said with POLYBUS_REGISTRY', async () => {
        const { code } = await cli(['schema', 'ls'], { env: { POLYBUS_REGISTRY: registry().url } })
        expect(code).toBe(0)
      })
    })
  },
  { instance: 'cli-schemas' },
)
