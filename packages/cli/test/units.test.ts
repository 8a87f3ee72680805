import { expect, test } from 'vitest'
import { assign } from '../src/edit-value.ts'
import { fromRecord, toRecord } from '../src/record.ts'
import { harmless } from '../src/harmless.ts'
import { clean, type Column, line, pagedTable, widthsOf } from '../src/table.ts'
import { timeOf } from '../src/times.ts'

const columns: readonly Column[] = [{ title: 'ID', keep: true }, { title: 'ERROR' }, { title: 'N', align: 'right' }]

test('a table is cut to the terminal: what need not be kept gives way first', () => {
  const row = ['an-id-of-twenty-chars', 'an error that goes on and on and on and on', '7']
  const widths = widthsOf(columns, [row], 50)
  expect(line(columns, widths, row)).toBe('an-id-of-twenty-chars  an error that goes on a…  7')
  expect(line(columns, widths, row)).toHaveLength(50)
  const narrow = widthsOf(columns, [row], 24)
  expect(line(columns, narrow, row).length).toBeLessThanOrEqual(24)
  expect(line(columns, widthsOf(columns, [row], undefined), row)).toContain(row[1])
})
test('an id of a later page is as whole as one of the first', async () => {
  const lines: string[] = []
  const table = pagedTable(columns, { columns: undefined, out: async (text) => void lines.push(text) })
  for (let index = 0; index < 250; index++) await table.add([`m-${index}`, 'e', '1'])
  await table.end()
  expect(lines.slice(1).map((text) => text.split(' ')[0])).toEqual(
    Array.from({ length: 250 }, (_, index) => `m-${index}`),
  )
})
test('control characters are shown as JSON writes them: a line of JSON holds the same', () => {
  const value = { text: 'a\u001b[31m\u009b\u007f\tb' }
  const shown = harmless(JSON.stringify(value))
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  expect(shown).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
  expect(JSON.parse(shown)).toEqual(value)
  expect(harmless('two\nlines\u001b')).toBe('two\nlines\\u001b')
})
test('what a message holds cannot steer the terminal or end the line', () => {
  expect(clean('a\u001b[31mred\nnext')).toBe('a [31mred next')
})

test('fields are set as JSON, or else as text, and nothing but the value itself is changed', () => {
  expect(assign({ a: { b: 1 } }, 'a.b=2')).toEqual({ a: { b: 2 } })
  expect(assign({ list: [1, 2] }, 'list.0={"x":true}')).toEqual({ list: [{ x: true }, 2] })
  expect(assign({}, 'name=c=42')).toEqual({ name: 'c=42' })
  expect(() => assign({ a: 1 }, 'a.b=2')).toThrow("there is no object at 'a'")
  expect(() => assign({}, '__proto__.polluted=1')).toThrow('there is no object')
  expect(() => assign({}, 'novalue')).toThrow('expected PATH=JSON')
})

test('times are how long ago, or dates', () => {
  const now = Date.parse('2025-01-31T12:00:00Z')
  expect(timeOf('2h', '--since', now)).toEqual(new Date('2025-01-31T10:00:00Z'))
  expect(timeOf('2025-01-30', '--since', now)).toEqual(new Date('2025-01-30'))
  expect(timeOf(undefined, '--since', now)).toBeUndefined()
  expect(() => timeOf('2y', '--since', now)).toThrow('--since')
})

const wire = {
  id: 'm-1',
  source: undefined,
  type: 't',
  time: 1.5,
  key: '',
  headers: [
    ['a', 'one'],
    ['a', Buffer.from('text as bytes')],
  ] as [string, string | Uint8Array][],
  body: Buffer.from('\uFEFFtext with a mark'),
  contentType: undefined,
  dataSchema: undefined,
  correlationId: undefined,
  causationId: undefined,
}
const letter = (message: object) =>
  toRecord({ id: 'm-1', reason: 'r', error: { name: 'E', message: '' }, attempts: 1, firstFailedAt: new Date(0), lastFailedAt: new Date(0), wire: { ...wire, ...message } } as never, 'orders', 'charge') // prettier-ignore
const roundTrip = (message: object) => fromRecord(JSON.parse(JSON.stringify(letter(message)))).message

test.each([
  [{}],
  [{ body: null }],
  [{ body: Buffer.from([0xff, 0xfe]) }],
  [{ body: Buffer.alloc(0) }],
  [{ time: undefined }],
  [{ time: -1 }],
])('a record holds all of a letter: %j', (message) => {
  expect(roundTrip(message)).toEqual({ ...wire, ...message })
})
test.each([
  [[], 'the line is no object'],
  [{ message: {} }, 'message.headers is no list'],
  [{ message: { headers: [['a']], body: null } }, 'neither text nor base64|is no object'],
  [{ message: { headers: [], body: { base64: '?' } } }, 'neither text nor base64'],
  [{ message: { headers: [], body: null, time: 'noon' } }, 'message.time is no time'],
  [{ message: { headers: [], body: null, key: 7 } }, 'message.key is no text'],
])('what is no letter is refused: %j', (record, text) => {
  expect(() => fromRecord(record)).toThrow(new RegExp(text))
})
