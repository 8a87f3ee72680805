import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { CONFIG_FILES } from '../src/config-file.ts'
import { FIELDS } from '../src/fields.ts'
import { SCHEMES } from '../src/scheme.ts'

const page = readFileSync(new URL('../../../docs/guide/connect.md', import.meta.url), 'utf8')

test('docs/guide/connect.md lists every environment variable, with its option and what it accepts', () => {
  const rows = [...page.matchAll(/^\| (`POLYBUS_.*) \|$/gm)].map(([, row]) => row)
  expect(rows).toEqual(
    FIELDS.map(({ variable, path, accepts }) => `\`${variable}\` | \`${path.join('.')}\` | ${accepts}`),
  )
})

test('docs/guide/connect.md names every scheme and every configuration file', () => {
  for (const scheme of SCHEMES) expect(page).toMatch(new RegExp(`\\| .*\`${scheme}:.* \\|`))
  for (const file of CONFIG_FILES) expect(page).toContain(`\`${file}\``)
})
