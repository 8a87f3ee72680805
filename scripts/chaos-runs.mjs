// Short runs of `npm run chaos`, for `npm run test:faults`.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/**
 * @typedef {object} ChaosOutcome
 * @property {string} broker
 * @property {'passed' | 'failed' | 'skipped'} outcome
 * @property {number} seconds
 * @property {{ seed: number, lost: number, double_effects: number }} [account] as `npm run chaos -- --json` gives it, with more
 * @property {string} [unavailable] why it could not run
 */

/** @type {Readonly<Record<string, { url: string, store: string, more?: readonly string[] }>>} */
const runs = {
  // First: a claim of a process that was killed is free again after a minute.
  sqs: { url: 'sqs:', store: 'redis' },
  kafka: { url: 'kafka:', store: 'postgres' },
  'kafka-platformatic': { url: 'kafka:', store: 'postgres', more: ['--client', 'platformatic'] },
  rabbitmq: { url: 'amqp:', store: 'postgres' },
  redis: { url: 'redis:', store: 'sqlite' },
}
const AT_ONCE = 2
/** Of faults; start, drain and end come on top. */
const MINUTES = '0.333'
const UNAVAILABLE = 3
/** It gives up by itself after half of it; one that does not end fails. */
const LIMIT_MS = 600_000

const isRequired = (/** @type {string} */ name) =>
  (process.env['POLYBUS_REQUIRE'] ?? '').split(',').some((one) => one.trim() === name)

/**
 * One run for each of the brokers, two at once. What a run says is passed on when it has ended.
 *
 * @param {readonly string[]} brokers
 * @param {{ say: (line: string) => void }} to
 * @returns {Promise<readonly ChaosOutcome[]>}
 */
export async function chaosRuns(brokers, { say }) {
  const waiting = Object.keys(runs).filter((broker) => brokers.includes(broker))
  /** @type {ChaosOutcome[]} */
  const outcomes = []
  const work = async () => {
    for (let broker = waiting.shift(); broker !== undefined; broker = waiting.shift())
      outcomes.push(await chaos(broker, say))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return outcomes
}

/**
 * @param {string} broker
 * @param {(line: string) => void} say
 * @returns {Promise<ChaosOutcome>}
 */
async function chaos(broker, say) {
  const start = performance.now()
  const { url = '', store = '', more = [] } = runs[broker] ?? {}
  const options = ['--broker', url, ...more, '--store', store, '--minutes', MINUTES, '--processes', '2', '--json']
  const child = spawn(process.execPath, ['scripts/chaos/dist/main.js', ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  })
  const ended = once(child, 'close')
  const stop = () => void child.kill('SIGTERM')
  process.once('SIGINT', stop).once('SIGTERM', stop)
  const lines = []
  for await (const line of createInterface({ input: child.stdout })) lines.push(line)
  const [code] = await ended
  process.off('SIGINT', stop).off('SIGTERM', stop)
  const seconds = (performance.now() - start) / 1000
  const last = lines.at(-1)?.startsWith('{') ? lines.pop() : undefined
  say(`\n--- chaos on ${broker} with ${store}, ended with ${code}\n${lines.join('\n')}`)
  if (code === UNAVAILABLE) {
    const required = [broker, ...(store === 'sqlite' ? [] : [store])].some(isRequired)
    return { broker, outcome: required ? 'failed' : 'skipped', seconds, unavailable: 'a server cannot be had here' }
  }
  const outcome = code === 0 ? 'passed' : 'failed'
  return { broker, outcome, seconds, ...(last !== undefined && { account: JSON.parse(last) }) }
}
