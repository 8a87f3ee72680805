// `npm run test:faults`: what `npm test` has no time for.
import { parseArgs } from 'node:util'
import { fileURLToPath } from 'node:url'
import { chaosRuns } from './chaos-runs.mjs'
import {
  chooseBrokers,
  conformance,
  duration,
  failures,
  otherClients,
  realBrokers,
  sizes,
} from './conformance-runs.mjs'

const help = `Runs the fault cases of the conformance suite on real brokers, in the sizes that npm test has no time for: outages,
restarts in a row, killed processes and servers, half-open connections, deleted topology. Medium and full end with a short
run of \`npm run chaos\` on each broker: 20 s of faults, then the account of what was lost or done twice.

Usage: npm run test:faults -- [options]

  --size SIZE      medium (the default), full (20 s outages, ten restarts in a row, 50 SIGKILLs, 5,000 publishes a
                   second through a 60 s outage), or quick, as npm test has them
  --broker NAMES   these alone (default: ${realBrokers.join(',') || 'every adapter with test/harness.ts'}); ${otherClients.join(', ')} and
                   memory run too if they are named
  --only IDS       these cases alone, such as 17,20c, without chaos; chaos: nothing but that
  --parallel N     cases at once (default: what the harness says)
  --json           one JSON object on the last line: size, seconds, passed, failed, skipped, brokers, chaos
  --help           this text

A broker that cannot be had on this machine is named and left out; with POLYBUS_REQUIRE=redis,... that is a failure.
Ends with 0 when nothing failed, 1 when a case failed, 2 where an option is wrong.`

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

/** @returns {Promise<number>} */
async function main() {
  const { values } = parseArgs({
    options: {
      size: { type: 'string', default: 'medium' },
      broker: { type: 'string' },
      only: { type: 'string' },
      parallel: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(help)
    return 0
  }
  if (!sizes.includes(values.size)) throw new Error(`--size: expected ${sizes.join(', ')}, got '${values.size}'.`)
  const all = [...realBrokers, ...otherClients, 'memory']
  const chosen = chooseBrokers(values.broker ?? realBrokers.join(','), all)
  const options = [
    '--size',
    values.size,
    '--tier',
    'fault',
    ...(values.only === undefined ? [] : ['--only', values.only]),
    ...(values.parallel === undefined ? [] : ['--parallel', values.parallel]),
  ]
  const start = performance.now()
  /** @type {import('./conformance-runs.mjs').Outcome[]} */
  const outcomes = []
  for (const broker of values.only === 'chaos' ? [] : chosen) {
    console.log(`\n=== faults on ${broker}, size ${values.size}`)
    outcomes.push(await conformance(broker, options, { say: (line) => console.log(line) }))
  }

  const isShort = values.size === 'quick' || (values.only !== undefined && values.only !== 'chaos')
  const chaos = isShort ? [] : await chaosRuns(chosen, { say: (line) => console.log(line) })

  const seconds = (performance.now() - start) / 1000
  console.log(`\n=== faults, size ${values.size}, in ${duration(seconds)}`)
  for (const { broker, passed, failed, skipped, unavailable, seconds: took } of outcomes)
    console.log(
      `${broker.padEnd(10)} ${unavailable === undefined ? `${passed} passed, ${failed} failed, ${skipped} left out  (${duration(took)})` : `NOT TESTED: ${unavailable}`}`,
    )
  for (const { broker, outcome, account, unavailable, seconds: took } of chaos)
    console.log(
      `chaos on ${broker.padEnd(9)} ${unavailable ?? `${outcome}: ${account ? `lost ${account.lost}, double effects ${account.double_effects}, seed ${account.seed}` : 'no account'}`}  (${duration(took)})`,
    )
  for (const outcome of outcomes) for (const line of failures(outcome)) console.log(line)
  const sum = (/** @type {'passed' | 'failed' | 'skipped'} */ field) =>
    outcomes.reduce((total, outcome) => total + outcome[field], 0) +
    chaos.filter(({ outcome }) => outcome === field).length
  const total = { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') }
  console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} left out`)
  if (values.json) console.log(JSON.stringify({ size: values.size, seconds, ...total, brokers: outcomes, chaos }))
  return total.failed > 0 ? 1 : 0
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = 2
}
