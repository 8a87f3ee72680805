import { readFileSync } from 'node:fs'
import { ERRORS } from '@polybus/core'
import { expect, test } from 'vitest'

const page = readFileSync(new URL('../docs/errors.md', import.meta.url), 'utf8')
const sections = page
  .split(/^## /m)
  .slice(1)
  .map((section) => {
    const [code = '', text = ''] = section.split('\n\n')
    const point = (name: string) => new RegExp(`^- \\*\\*${name}:\\*\\* (.+)$`, 'm').exec(section)?.[1] ?? ''
    return { code, text, retryable: point('Retryable'), when: point('When'), whatToDo: point('What to do') }
  })

test('docs/errors.md lists the codes of the table in core, each once, in alphabetical order', () => {
  expect(sections.map(({ code }) => code)).toEqual(Object.keys(ERRORS).toSorted())
})

test.each(Object.entries(ERRORS))('docs/errors.md says of %s what the table says', (code, { text, retryable }) => {
  expect(sections.find((section) => section.code === code)).toMatchObject({ text, retryable: retryable ? 'yes' : 'no' })
})

test.each(sections)('docs/errors.md says when $code comes and what to do', ({ when, whatToDo }) => {
  expect(when).toMatch(/^\S.{20,}\.$/)
  expect(whatToDo).toMatch(/^\S.*\.$/)
})
