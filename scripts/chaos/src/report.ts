// What people read, on the terminal and in docs/evidence; and what programs read.
import { appendFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { dirname } from 'node:path'
import type { Account } from './account.ts'
import type { Options } from './options.ts'
import type { Fault, FaultKind } from './schedule.ts'
import type { Trouble } from './trouble.ts'

export interface Outcome {
  readonly options: Options
  readonly account: Account
  readonly trouble: Trouble
  /** Calls of `publish`; more than were published where a successor repeated one. */
  readonly began: Date
  readonly seconds: number
  /** What went wrong beside the account, in words: who ended by itself, what never ended. */
  readonly problems: readonly string[]
}

export const WHAT: Readonly<Record<FaultKind, string>> = {
  'kill-publisher': 'publisher killed',
  'kill-consumer': 'consumer killed',
  'kill-broker': 'broker killed, started again',
  refuse: 'connections refused',
  pause: 'half-open: nothing passes',
  cut: 'all connections cut',
  'swallow-answers': 'answers swallowed',
  'store-away': 'store away',
}

export const isOk = ({ account, problems }: Outcome): boolean => account.ok && problems.length === 0

/** A URL may hold a password. */
const hidden = (url: string): string => url.replace(/\/\/[^/?]*@/, '//***@')

export function commandOf({ broker, client, store, minutes, seed, consumers, publishers, rate }: Options): string {
  const by = client === undefined ? '' : ` --client ${client}`
  return `npm run chaos -- --broker ${hidden(broker)}${by} --store ${store} --minutes ${minutes} --seed ${seed} --processes ${consumers} --publishers ${publishers} --rate ${rate}`
}

export function scheduleText(schedule: readonly Fault[]): string {
  const row = ({ atMs, kind, target, forMs }: Fault): string =>
    `  ${(atMs / 1000).toFixed(1).padStart(6)} s  ${WHAT[kind]}${target > 0 ? ` (${target})` : ''}${forMs > 0 ? `, ${(forMs / 1000).toFixed(1)} s` : ''}`
  return schedule.map(row).join('\n')
}

/** Of numbers that are few: the first of them. */
const named = (seqs: readonly number[]): string =>
  seqs.length === 0 ? '' : `: ${seqs.slice(0, 10).join(', ')}${seqs.length > 10 ? ', …' : ''}`
const count = (value: number): string => value.toLocaleString('en-US')
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

function rowsOf(outcome: Outcome): readonly (readonly [string, string])[] {
  const { account, options } = outcome
  const { killed, storeAway } = account.inTheGap
  const inGap = killed + storeAway
  const gap =
    options.store !== 'redis' || account.doubleEffects.length === 0
      ? ''
      : ` (${inGap} in the gap of a claim store: ${killed} where the process was killed, ${storeAway} where the store was away, between effect and completion)`
  return [
    ['published', `${count(account.published)} (confirmed by the broker)`],
    ['handled', `${count(account.handled)} purchases`],
    ['effects', `${count(account.effects)} rows in the ledger`],
    ['duplicates absorbed', count(account.duplicatesAbsorbed)],
    ['dead letters', count(account.deadLetters)],
    ['lost', `${count(account.lost.length)}${named(account.lost)}`],
    ['double effects', `${count(account.doubleEffects.length)}${named(account.doubleEffects)}${gap}`],
    ['order violations', `${count(account.orderViolations.length)}${named(account.orderViolations)}`],
  ]
}

const recoveryRows = ({ account, trouble }: Outcome): readonly (readonly string[])[] =>
  (Object.keys(WHAT) as FaultKind[]).flatMap((kind) => {
    const times = trouble.incidents.filter((one) => one.kind === kind).length
    if (times === 0) return []
    const spread = account.recoveryMs[kind]
    return [[WHAT[kind], String(times), spread ? seconds(spread.median) : '-', spread ? seconds(spread.max) : '-']]
  })

const HOW_MEASURED =
  "Recovery: from the fault's beginning to the first effect after its end; of a killed process to the first effect, or the first confirmed publish, of its successor."

function notes({ account, trouble, problems }: Outcome): readonly string[] {
  return [
    ...(trouble.skipped > 0
      ? [`${trouble.skipped} faults had no time left: the one before them in their lane took longer.`]
      : []),
    ...(account.unanswered > 0
      ? [`After ${account.unanswered} faults the run was over before anything more of that kind came.`]
      : []),
    ...problems.map((problem) => `FAIL: ${problem}.`),
  ]
}

export function accountText(outcome: Outcome): string {
  const head = ['what was done', 'times', 'recovery: median', 'longest']
  const rows = [head, ...recoveryRows(outcome)]
  const widths = head.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)))
  const verdict = isOk(outcome)
    ? 'ok    every promise held'
    : 'FAIL  some promise was broken: see lost, double effects and order violations above, and FAIL'
  return [
    ...rowsOf(outcome).map(([name, value]) => `${name.padEnd(20)} ${value}`),
    '',
    ...rows.map((row) =>
      row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join('  '),
    ),
    HOW_MEASURED,
    ...notes(outcome),
    '',
    verdict,
    `Again: ${commandOf(outcome.options)}`,
  ].join('\n')
}

export function jsonOf(outcome: Outcome): object {
  const { account, options, trouble, problems, seconds: took } = outcome
  return {
    broker: hidden(options.broker),
    ...(options.client && { client: options.client }),
    store: options.store,
    seed: options.seed,
    minutes: options.minutes,
    seconds: Math.round(took * 10) / 10,
    ok: isOk(outcome),
    published: account.published,
    handled: account.handled,
    effects: account.effects,
    duplicates_absorbed: account.duplicatesAbsorbed,
    dead_letters: account.deadLetters,
    lost: account.lost.length,
    double_effects: account.doubleEffects.length,
    double_effects_in_gap: account.inTheGap.killed + account.inTheGap.storeAway,
    order_violations: account.orderViolations.length,
    faults: trouble.incidents.length,
    recovery_ms: account.recoveryMs,
    problems,
  }
}

/** Appends a section; a file that is new gets a heading. */
export function writeReport(file: string, outcome: Outcome): void {
  const { options, began, seconds: took } = outcome
  const gib = Math.round(totalmem() / 2 ** 30)
  const text = [
    `## ${hidden(options.broker)} with ${options.store}, seed ${options.seed}: ${isOk(outcome) ? 'every promise held' : 'FAIL'}`,
    '',
    '```sh',
    commandOf(options),
    '```',
    '',
    `Began ${began.toISOString()}; with start, drain and end it took ${seconds(took * 1000)}. Node ${process.version}, ${process.platform} ${process.arch}, ${cpus().length} cores, ${gib} GiB.`,
    '',
    '| account | |',
    '|---|---|',
    ...rowsOf(outcome).map(([name, value]) => `| ${name} | ${value} |`),
    '',
    '| what was done | times | recovery: median | longest |',
    '|---|---|---|---|',
    ...recoveryRows(outcome).map((row) => `| ${row.join(' | ')} |`),
    '',
    HOW_MEASURED,
    ...notes(outcome).flatMap((note) => ['', note]),
    '',
  ].join('\n')
  if (!existsSync(file)) {
    mkdirSync(dirname(file), { recursive: true })
    const day = began.toISOString().slice(0, 10)
    writeFileSync(file, `# Chaos of ${day}\n\nWritten by \`npm run chaos\` with \`--report\`, a section a run.\n`)
  }
  appendFileSync(file, `\n${text}`)
}
