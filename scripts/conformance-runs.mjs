// Runs of the conformance suite as child processes, for `npm run test:faults` and `npm run test:soak`.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { once } from 'node:events'
import { existsSync, globSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { BrokerUnavailable, brokerNames, startBroker } from '@polybus/brokers'

/**
 * @typedef {{ id: string, title: string, tier: string, outcome: 'passed' | 'failed' | 'skipped', reason?: string, ms: number }} CaseResult
 * @typedef {object} Outcome
 * @property {string} broker
 * @property {string} size
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 * @property {number} seconds
 * @property {Record<string, string>} [about] versions of client and server
 * @property {readonly string[]} stray rejections that nobody heard
 * @property {readonly CaseResult[]} cases
 * @property {string} [unavailable] why nothing could run
 */

export const sizes = ['quick', 'medium', 'full']

/** Adapters of this repository that have a harness for a real broker. */
export const realBrokers = globSync('adapters/*/test/harness.ts')
  .map((file) => basename(dirname(dirname(file))))
  .toSorted()

/** The same adapters over another client: `kafka-platformatic`. They run where they are named. */
export const otherClients = globSync('adapters/*/test/harness-*.ts', { exclude: ['**/harness-over.ts'] })
  .map((file) => `${basename(dirname(dirname(file)))}${basename(file, '.ts').replace('harness', '')}`)
  .toSorted()

/**
 * @param {string | undefined} list
 * @param {readonly string[]} all
 * @returns {readonly string[]}
 */
export function chooseBrokers(list, all) {
  const chosen = (list ?? all.join(','))
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  const unknown = chosen.filter((name) => !all.includes(name))
  if (unknown.length > 0)
    throw new Error(`--broker: no harness for ${unknown.join(', ')}. There are: ${all.join(', ')}.`)
  if (chosen.length === 0) throw new Error('--broker: nothing to run.')
  return [...new Set(chosen)]
}

/** @param {string} broker */
const isRequired = (broker) => (process.env['POLYBUS_REQUIRE'] ?? '').split(',').some((name) => name.trim() === broker)

/**
 * Why the broker cannot be had here; undefined where it runs now.
 *
 * @param {string} broker
 * @returns {Promise<string | undefined>}
 */
async function missing(broker) {
  const known = brokerNames.find((name) => name === broker.split('-')[0])
  if (known === undefined) return undefined
  try {
    await startBroker(known, { instance: 'conformance' })
    return undefined
  } catch (error) {
    if (!(error instanceof BrokerUnavailable)) throw error
    return error.message
  }
}

/**
 * One run of the suite in a process of its own; its lines are passed on as they come.
 *
 * @param {string} broker
 * @param {readonly string[]} options of the conformance command
 * @param {{ say: (line: string) => void }} to
 * @returns {Promise<Outcome>}
 */
export async function conformance(broker, options, { say }) {
  const start = performance.now()
  const seconds = () => (performance.now() - start) / 1000
  const nothing = { broker, size: '', passed: 0, failed: 0, skipped: 0, stray: [], cases: [] }
  const unavailable = await missing(broker)
  if (unavailable !== undefined) {
    say(`!! NOT TESTED: ${unavailable}`)
    return { ...nothing, seconds: seconds(), unavailable, failed: isRequired(broker) ? 1 : 0 }
  }
  const cli = 'packages/testkit/dist/conformance-cli.js'
  if (!existsSync(cli)) throw new Error(`${cli} is not built: npm run build.`)
  const child = spawn(process.execPath, [cli, '--adapter', broker, '--progress', '--json', ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  /** @type {'SIGINT' | 'SIGTERM' | undefined} */
  let stopped
  /** @param {'SIGINT' | 'SIGTERM'} signal */
  const stop = (signal) => {
    stopped = signal
    child.kill('SIGTERM')
  }
  process.once('SIGINT', stop).once('SIGTERM', stop)
  let last = ''
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('{')) last = line
    else say(line)
  }
  const code = child.exitCode ?? (child.signalCode === null ? (await once(child, 'close'))[0] : null)
  process.off('SIGINT', stop).off('SIGTERM', stop)
  // Who was told to stop begins nothing more.
  if (stopped) process.exit(128 + constants.signals[stopped])
  if (last === '') {
    say(`!! The suite on ${broker} ended without a result (${code ?? child.signalCode}).`)
    return { ...nothing, seconds: seconds(), failed: 1 }
  }
  return { ...JSON.parse(last), broker, seconds: seconds() }
}

/** @param {number} seconds */
export const duration = (seconds) =>
  seconds < 100 ? `${seconds.toFixed(0)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`

/**
 * What failed and why, for the end of a run of many lines.
 *
 * @param {Outcome} outcome
 * @returns {readonly string[]}
 */
export const failures = ({ broker, cases, stray }) => [
  ...cases
    .filter(({ outcome }) => outcome === 'failed')
    .map(({ id, title, reason = '' }) => `\n✗ ${broker}: ${id}  ${title}\n${reason.replaceAll(/^/gm, '    ')}`),
  ...stray.map((rejection) => `\n✗ ${broker}: a rejection that nobody heard\n${rejection.replaceAll(/^/gm, '    ')}`),
]
