// `npm run test:soak`: the whole suite, again and again; what differs between two runs is a flake.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, homedir, totalmem } from 'node:os'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { fileURLToPath } from 'node:url'
import { chooseBrokers, conformance, duration, realBrokers, sizes } from './conformance-runs.mjs'

/** @typedef {import('./conformance-runs.mjs').Outcome} Outcome */

const all = [...realBrokers, 'memory']
const help = `Runs the whole conformance suite of every broker several times in a row, and writes a report.

Usage: npm run test:soak -- [options]

  --runs N         how often in a row (default 5)
  --size SIZE      quick, medium (the default) or full
  --broker NAMES   these alone (default: ${all.join(',')})
  --only IDS       these cases alone: for trying it out
  --out FILE       the report (default docs/evidence/soak-DATE.md)
  --json           one JSON object on the last line: runs, size, failed, flakes, report
  --help           this text

A flake is a case that ended differently in two runs. Ends with 0 when all runs were green, 1 when a case failed, 2 where an
option is wrong.`

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

/** @returns {Promise<number>} */
async function main() {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '5' },
      size: { type: 'string', default: 'medium' },
      broker: { type: 'string' },
      only: { type: 'string' },
      out: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(help)
    return 0
  }
  const runs = Number(values.runs)
  if (!Number.isInteger(runs) || runs < 1)
    throw new Error(`--runs: expected a whole number from 1, got '${values.runs}'.`)
  if (!sizes.includes(values.size)) throw new Error(`--size: expected ${sizes.join(', ')}, got '${values.size}'.`)
  const brokers = chooseBrokers(values.broker, all)
  const began = new Date()
  const report = values.out ?? `docs/evidence/soak-${began.toISOString().slice(0, 10)}.md`
  const options = ['--size', values.size, ...(values.only === undefined ? [] : ['--only', values.only])]

  /** @type {Outcome[]} */
  const outcomes = []
  for (let run = 1; run <= runs; run++) {
    for (const broker of brokers) {
      console.log(`\n=== run ${run} of ${runs}: ${broker}, size ${values.size}`)
      outcomes.push(await conformance(broker, options, { say: (line) => console.log(line) }))
    }
  }

  const failed = outcomes.reduce((total, outcome) => total + outcome.failed, 0)
  const flakes = brokers.flatMap((broker) => flaky(of(outcomes, broker)).map(({ id }) => `${broker} ${id}`))
  mkdirSync(dirname(report), { recursive: true })
  writeFileSync(report, text({ began, brokers, outcomes, runs, size: values.size, only: values.only }))
  console.log(
    `\n=== ${runs} runs of ${brokers.join(', ')}: ${failed} failed, ${flakes.length} flakes. Report: ${report}`,
  )
  if (flakes.length > 0) console.log(`Flakes: ${flakes.join(', ')}`)
  if (values.json) console.log(JSON.stringify({ runs, size: values.size, failed, flakes, report }))
  return failed > 0 || flakes.length > 0 ? 1 : 0
}

/** @type {(outcomes: readonly Outcome[], broker: string) => readonly Outcome[]} */
const of = (outcomes, broker) => outcomes.filter((outcome) => outcome.broker === broker)

/**
 * Cases that did not end alike in all runs.
 *
 * @param {readonly Outcome[]} outcomes
 */
function flaky(outcomes) {
  /** @type {Map<string, { id: string, ends: string[] }>} */
  const cases = new Map()
  for (const { cases: list } of outcomes)
    for (const { id, outcome } of list) {
      const known = cases.get(id) ?? { id, ends: [] }
      known.ends.push(outcome)
      cases.set(id, known)
    }
  return [...cases.values()].filter(({ ends }) => new Set(ends).size > 1 || ends.length < outcomes.length)
}

/**
 * @param {{ began: Date, brokers: readonly string[], outcomes: readonly Outcome[], runs: number, size: string, only: string | undefined }} what
 */
function text({ began, brokers, outcomes, runs, size, only }) {
  const lines = [
    `# Soak of ${began.toISOString().slice(0, 10)}: ${runs} runs in a row, size ${size}`,
    '',
    `Written by \`npm run test:soak -- --runs ${runs} --size ${size}${only === undefined ? '' : ` --only ${only}`}\`. A flake is a case that ended differently in two runs.`,
    '',
    `- Began: ${began.toISOString()}; all of it took ${duration(outcomes.reduce((sum, { seconds }) => sum + seconds, 0))}`,
    `- Node ${process.version}, ${process.platform} ${process.arch}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    '',
  ]
  for (const broker of brokers) {
    const own = of(outcomes, broker)
    const [first] = own
    if (!first) continue
    const unstable = flaky(own)
    lines.push(`## ${broker}`, '')
    if (first.unavailable !== undefined) {
      lines.push(`NOT TESTED: ${clean(first.unavailable)}`, '')
      continue
    }
    const versions = Object.entries({ ...clients(broker), ...first.about }).map(
      ([name, version]) => `${name} ${version}`,
    )
    if (versions.length > 0) lines.push(`Versions: ${versions.join(', ')}.`, '')
    lines.push('| run | passed | failed | left out | stray rejections | took |', '|---|---|---|---|---|---|')
    for (const [index, { passed, failed, skipped, stray, seconds }] of own.entries())
      lines.push(`| ${index + 1} | ${passed} | ${failed} | ${skipped} | ${stray.length} | ${duration(seconds)} |`)
    lines.push('', unstable.length === 0 ? 'No flake.' : 'Flakes:', '')
    for (const { id, ends } of unstable) lines.push(`- ${id}: ${ends.join(', ')}`)
    if (unstable.length > 0) lines.push('')
    const failures = own.flatMap(({ cases }, index) =>
      cases.filter(({ outcome }) => outcome === 'failed').map((one) => ({ ...one, run: index + 1 })),
    )
    for (const { id, title, reason = '', run } of failures)
      lines.push(
        `- run ${run}, ${id} ${title}`,
        '',
        `  \`\`\`text\n${clean(reason).replace(/^/gm, '  ')}\n  \`\`\``,
        '',
      )
    const leftOut = first.cases.filter(({ outcome }) => outcome === 'skipped')
    if (leftOut.length > 0) {
      lines.push('Left out:', '')
      for (const { id, reason = '' } of leftOut) lines.push(`- ${id}: ${clean(reason)}`)
      lines.push('')
    }
    const slowest = first.cases.toSorted((a, b) => b.ms - a.ms).slice(0, 5)
    lines.push(`Slowest: ${slowest.map(({ id, ms }) => `${id} (${(ms / 1000).toFixed(1)} s)`).join(', ')}.`, '')
  }
  return lines.join('\n')
}

/**
 * The versions of the clients that the adapter depends on.
 *
 * @param {string} broker
 * @returns {Record<string, string>}
 */
function clients(broker) {
  const read = (/** @type {string} */ file) => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {})
  const { dependencies = {}, peerDependencies = {} } = read(`adapters/${broker}/package.json`)
  return Object.fromEntries(
    Object.keys({ ...dependencies, ...peerDependencies })
      .filter((name) => !name.startsWith('@polybus/'))
      .map((name) => [name, String(read(`node_modules/${name}/package.json`).version ?? 'unknown')]),
  )
}

/** Nothing of this machine in what is kept. @param {string} reason */
const clean = (reason) => reason.replaceAll(process.cwd(), '.').replaceAll(homedir(), '~')

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = 2
}
