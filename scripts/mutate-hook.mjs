// Loaded before everything else in a child of mutate.mjs: gives one built file with one mutation.
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import { mutations } from './mutations.mjs'

const mutation = mutations[Number(process.env['CONFORMANCE_MUTATION'])]
if (!mutation) throw new Error('CONFORMANCE_MUTATION must be the number of a mutation.')
const target = new URL(`../${mutation.file}`, import.meta.url).href

registerHooks({
  load(url, context, next) {
    if (url !== target) return next(url, context)
    return { format: 'module', shortCircuit: true, source: mutated(readFileSync(fileURLToPath(url), 'utf8'), mutation) }
  },
})

/**
 * @param {string} source
 * @param {import('./mutations.mjs').Mutation} mutation
 */
function mutated(source, { find, replace }) {
  const words = find
    .trim()
    .split(/\s+/)
    .map((word) => word.replace(/[$()*+.?[\\\]^{|}]/g, '\\$&'))
  const pattern = new RegExp(words.join('\\s*'), 'g')
  const count = source.match(pattern)?.length ?? 0
  if (count !== 1) {
    process.stderr.write(`matches ${count} times\n`)
    process.exit(3)
  }
  return source.replace(pattern, () => replace)
}
