// Loaded before everything else in a child of mutate.mjs: gives one built file with one mutation.
import { readdirSync, readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import { mutations } from './mutations.mjs'

const mutation = mutations[Number(process.env['CONFORMANCE_MUTATION'])]
if (!mutation) throw new Error('CONFORMANCE_MUTATION must be the number of a mutation.')
const dist = new URL(mutation.of === 'core' ? '../packages/core/dist/' : '../adapters/memory/dist/', import.meta.url)
const pattern = patternOf(mutation.find)
const files = readdirSync(dist, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.js'))
const found = files.flatMap((file) => {
  const url = new URL(file.replaceAll('\\', '/'), dist)
  const count = readFileSync(url, 'utf8').match(pattern)?.length ?? 0
  return Array.from({ length: count }, () => url.href)
})
if (found.length !== 1) {
  process.stderr.write(`matches ${found.length} times\n`)
  process.exit(3)
}

registerHooks({
  load(url, context, next) {
    if (url !== found[0]) return next(url, context)
    const source = readFileSync(fileURLToPath(url), 'utf8').replace(pattern, () => mutation.replace)
    return { format: 'module', shortCircuit: true, source }
  },
})

/** White space is free. @param {string} text */
function patternOf(text) {
  const words = text
    .trim()
    .split(/\s+/)
    .map((word) => word.replace(/[$()*+.?[\\\]^{|}]/g, '\\$&'))
  return new RegExp(words.join('\\s*'), 'g')
}
