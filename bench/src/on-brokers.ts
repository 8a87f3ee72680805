// npm run bench -- --broker …: servers of this run, what is measured on each, and what becomes of the numbers.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beginRun, startBroker } from '@polybus/brokers'
import { isKind, type KindName, kinds } from './brokers/index.ts'
import { within } from './brokers/raw.ts'
import { costs } from './cost.ts'
import { documentOf, readResult } from './document.ts'
import { idle } from './idle.ts'
import { latency } from './latency.ts'
import { describeMachine } from './measure.ts'
import { memoryOver } from './memory.ts'
import { check, readRecords, record, TOLERANCE, writeRecords } from './recorded.ts'
import type { Part, Report, Result } from './report.ts'
import { scaling } from './scaling.ts'
import { sheetsOf } from './sheets.ts'
import type { Stage } from './stage.ts'
import { sheetTable, throughputTable } from './table.ts'
import { messagesOf, throughput } from './throughput.ts'
import { LIMIT_MS } from './trial.ts'
import { wire } from './wire.ts'

export interface OnBrokersOptions extends Pick<
  Stage,
  'rounds' | 'warmUp' | 'sizes' | 'messages' | 'seconds' | 'only' | 'alone' | 'progress'
> {
  /** Names, or `all`. None, with `check`: those that are recorded. */
  readonly brokers: readonly string[]
  /** What to measure beside the throughput, or in its place. */
  readonly parts: readonly Part[]
  readonly throughput: boolean
  readonly check: boolean
  readonly record: boolean
  /** Where to write the page. */
  readonly document: string | undefined
  /** A folder for a file of each broker. */
  readonly results: string | undefined
  /** What earlier runs printed, for the page. */
  readonly earlier: readonly string[]
  readonly json: boolean
}

/** Answers the exit code. */
export async function onBrokers(options: OnBrokersOptions): Promise<number> {
  const records = readRecords()
  const names = namesOf(options.brokers, options.check ? Object.keys(records) : [])
  const inMemory = options.parts.includes('cost')
  if (names.length === 0 && options.earlier.length === 0 && !inMemory)
    throw new Error(
      `${options.check ? 'Nothing is recorded. ' : ''}Which broker? --broker ${[...Object.keys(kinds), 'all'].join('|')}`,
    )
  const earlier = options.earlier.map(readResult)
  const machine = describeMachine()
  const at = new Date().toISOString()
  const keep = (report: Report): void => {
    if (options.results === undefined) return
    mkdirSync(options.results, { recursive: true })
    const result: Result = { machine, at, reports: [report] }
    writeFileSync(join(options.results, `${report.broker}.json`), `${JSON.stringify(result)}\n`)
  }
  const reports = names.length === 0 && !inMemory ? [] : await measured(names, inMemory, options, keep)
  const result: Result = { machine, at, reports }
  if (options.document !== undefined)
    writeFileSync(options.document, documentOf(reports.length === 0 ? earlier : [...earlier, result]))
  if (options.record)
    writeRecords(reports.filter(isReal).reduce((all, report) => record(all, machine, report), records))
  const code = options.check ? told(check(records, reports)) : 0
  if (options.json) console.log(JSON.stringify(result))
  return code
}

/** What has no server, and no raw client beside it, has nothing to record. */
const isReal = ({ sizes }: Report): boolean => sizes.length > 0

async function measured(
  names: readonly KindName[],
  inMemory: boolean,
  options: OnBrokersOptions,
  keep: (report: Report) => void,
): Promise<readonly Report[]> {
  const { cpu, cores, node } = describeMachine()
  console.log(`${cpu}, ${cores} cores, Node ${node}; ${options.rounds} rounds`)
  const reports: Report[] = []
  if (inMemory) reports.push(await costsInMemory(options, keep))
  if (names.length === 0) return reports
  const run = beginRun()
  try {
    for (const broker of names) {
      const server = await startBroker(broker, { instance: 'bench' })
      try {
        reports.push(await onServer(broker, server, options, keep))
      } finally {
        await server.remove()
      }
    }
    return reports
  } finally {
    await run.end()
  }
}

async function onServer(
  broker: KindName,
  server: { readonly url: string; readonly log: string },
  options: OnBrokersOptions,
  keep: (report: Report) => void,
): Promise<Report> {
  const kind = kinds[broker]
  const raw = await within(LIMIT_MS, broker, kind.open(server))
  try {
    const stage: Stage = { ...options, broker, kind, url: server.url, raw }
    let report: Report = { broker, server: raw.server, client: raw.client, rounds: options.rounds, sizes: [] }
    console.log(`\n${raw.server}, ${raw.client}`)
    let from = performance.now()
    const took = (what: string): void => {
      console.log(`(${what}: ${Math.round((performance.now() - from) / 1000)} s)`)
      from = performance.now()
    }
    if (options.throughput) {
      report = { ...report, sizes: await throughput(stage) }
      console.log(`\n${throughputTable(report)}`)
      took('throughput')
      keep(report)
    }
    for (const part of options.parts) {
      const measured = await MEASURES[part](stage).catch((error: unknown) => failed(broker, part, error))
      print(measured, report)
      took(part)
      report = { ...report, ...measured }
      // After each of them: the next one may fail.
      keep(report)
    }
    return report
  } finally {
    await within(LIMIT_MS, broker, raw.close())
  }
}

const MEASURES: Readonly<Record<Part, (stage: Stage) => Promise<Partial<Report>>>> = {
  latency: async (stage) => ({ latency: await latency(stage) }),
  idle: async (stage) => ({ idle: await idle(stage) }),
  scaling: async (stage) => ({ scaling: await scaling(stage) }),
  cost: async (stage) => ({ cost: await costs({ ...stage, messages: messagesOf(stage, stage.sizes[0]) }) }),
  memory: async (stage) => ({ memory: await memoryOver(stage) }),
  wire: async (stage) => ({ wire: await wire(stage) }),
}

/** What comes after it is measured all the same: a run takes hours. */
function failed(broker: KindName, part: Part, error: unknown): Partial<Report> {
  console.error(`\n${broker}, ${part}: failed: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = FAILED
  return {}
}
const FAILED = 2

/** For a round on the broker in memory. */
const IN_MEMORY = 50_000

async function costsInMemory(options: OnBrokersOptions, keep: (report: Report) => void): Promise<Report> {
  const about = { broker: 'memory', url: 'memory:', raw: undefined, messages: options.messages ?? IN_MEMORY } as const
  const report: Report = {
    broker: 'memory',
    server: 'the broker in memory',
    client: '@polybus/memory',
    rounds: options.rounds,
    sizes: [],
    cost: await costs({ ...options, ...about }),
  }
  console.log(`\n${report.server}`)
  print(report, report)
  keep(report)
  return report
}

function print(measured: Partial<Report>, { broker, server, client, rounds }: Report): void {
  for (const sheet of sheetsOf({ ...measured, broker, server, client, rounds, sizes: [] }))
    console.log(`\n${sheetTable(sheet)}`)
}

function namesOf(given: readonly string[], fallback: readonly string[]): readonly KindName[] {
  const wanted = given.length === 0 ? fallback : given.includes('all') ? Object.keys(kinds) : given
  return wanted.map((name) => {
    if (isKind(name)) return name
    throw new Error(`--broker ${name}: unknown. Known: ${[...Object.keys(kinds), 'all'].join(', ')}`)
  })
}

function told({ compared, fallen, unknown }: ReturnType<typeof check>): number {
  for (const name of unknown) console.log(`not recorded: ${name}`)
  for (const { broker, name, recorded, now } of fallen)
    console.log(`fallen: ${broker}, ${name}: ${now}, recorded ${recorded}`)
  const limit = `${TOLERANCE * 100} %`
  console.log(
    fallen.length === 0
      ? `${compared} ratios are at ${limit} of the recorded ones or above.`
      : `${fallen.length} of ${compared} ratios are below ${limit} of the recorded ones.`,
  )
  return fallen.length === 0 && compared > 0 ? 0 : 1
}
