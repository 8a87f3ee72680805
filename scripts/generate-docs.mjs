// Writes the pages and tables of docs/ that the code itself can tell. With --check it writes nothing, and ends with 1 where
// a page differs from what it would write.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { capabilitiesPage } from './docs/capabilities.mjs'
import { combinationsPage } from './docs/combinations.mjs'
import { defaultsPage } from './docs/defaults.mjs'

/** @param {string} page */
const pathOf = (page) => fileURLToPath(new URL(`../${page}`, import.meta.url))
/** @param {string} page */
const read = (page) => {
  try {
    return readFileSync(pathOf(page), 'utf8')
  } catch {
    return ''
  }
}

const made = {
  'docs/capabilities.md': capabilitiesPage(),
  'docs/combinations.md': combinationsPage(),
  'docs/guide/defaults.md': defaultsPage(read('docs/guide/defaults.md')),
}
const check = process.argv.includes('--check')
for (const [page, text] of Object.entries(made)) {
  if (read(page) === text) continue
  if (!check) {
    writeFileSync(pathOf(page), text)
    console.log(`${page}: written`)
    continue
  }
  console.error(`${page} differs from what the code says. Run: npm run docs`)
  process.exitCode = 1
}
