// `npm run mutate`: breaks one promise after the other and shows that the conformance suite notices.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { fileURLToPath } from 'node:url'
import { mutations } from './mutations.mjs'

const help = `Breaks one promise of core or of the memory adapter at a time, in a child process, and runs conformance cases.

Usage: npm run mutate -- [options]

  --only TEXT    mutations whose promise or package has this text
  --whole        the whole suite for each mutation, not only the cases that should notice
  --parallel N   children at once (default 2)
  --json         one JSON object on the last line: mutations, caught, survived, broken, list
  --help         this text

Ends with 0 when every mutation is caught, 1 when one survives or does not apply, 2 when the suite is red without any.`

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    whole: { type: 'boolean', default: false },
    parallel: { type: 'string', default: '2' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  console.log(help)
  process.exit(0)
}
const chosen = mutations
  .map((mutation, index) => ({ ...mutation, index }))
  .filter(({ promise, of }) => values.only === undefined || `${promise} ${of}`.includes(values.only))

/**
 * @typedef {{ id: string, outcome: string }} CaseResult
 * @param {readonly string[]} options
 * @param {number} [mutation]
 * @returns {Promise<{ code: number | null, cases: readonly CaseResult[] | undefined, text: string }>}
 */
async function conformance(options, mutation) {
  const hook = mutation === undefined ? [] : ['--import', './scripts/mutate-hook.mjs']
  const child = spawn(process.execPath, [...hook, 'packages/testkit/dist/conformance-cli.js', '--json', ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, CONFORMANCE_MUTATION: String(mutation) },
  })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text) => (errors += text))
  const [code] = await once(child, 'close')
  const last = output.trimEnd().split('\n').at(-1) ?? ''
  const cases = last.startsWith('{') ? JSON.parse(last).cases : undefined
  return { code, cases, text: errors.trim() }
}
const red = (/** @type {readonly CaseResult[] | undefined} */ cases) =>
  cases?.filter(({ outcome }) => outcome === 'failed').map(({ id }) => id) ?? []

// A case that is red anyway proves nothing.
const only = values.whole ? [] : ['--only', [...new Set(chosen.flatMap((one) => one.only.split(',')))].join(',')]
const before = await conformance(only)
if (before.code !== 0) {
  console.error(`The suite is red without any mutation: ${red(before.cases).join(', ')} ${before.text}`)
  process.exit(2)
}

/** @type {{ promise: string, of: string, outcome: 'caught' | 'survived' | 'broken', by: readonly string[], text: string, seconds: number }[]} */
const list = []
let next = 0
const lane = async () => {
  for (let mutation = chosen[next++]; mutation; mutation = chosen[next++]) {
    const { promise, of, index } = mutation
    const start = performance.now()
    const options = values.whole ? [] : ['--bail', '--only', mutation.only]
    const { code, cases, text } = await conformance(
      mutation.without === undefined ? options : [...options, '--without', mutation.without],
      index,
    )
    const by = red(cases)
    // A suite that cannot even run has noticed nothing; 3 is the hook's word for a mutation that does not apply.
    const outcome = code === 1 ? 'caught' : code === 0 ? 'survived' : 'broken'
    const seconds = (performance.now() - start) / 1000
    list.push({ promise, of, outcome, by, text, seconds })
    const mark = { caught: '✓', survived: '✗', broken: '!' }[outcome]
    const told =
      outcome === 'caught' ? `caught by ${by.join(', ') || 'a stray rejection'}` : `${outcome.toUpperCase()} ${text}`
    console.log(`${mark} ${promise}\n    ${of}: ${told}  (${seconds.toFixed(1)} s)`)
  }
}
await Promise.all(Array.from({ length: Number(values.parallel) }, lane))

const count = (/** @type {string} */ outcome) => list.filter((one) => one.outcome === outcome).length
const summary = {
  mutations: list.length,
  caught: count('caught'),
  survived: count('survived'),
  broken: count('broken'),
}
console.log(
  `\n${summary.caught} of ${summary.mutations} caught, ${summary.survived} survived, ${summary.broken} did not apply`,
)
if (values.json) console.log(JSON.stringify({ ...summary, list }))
process.exitCode = summary.caught === summary.mutations ? 0 : 1
