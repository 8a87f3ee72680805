#!/usr/bin/env node
// `npm run conformance -- --adapter memory`
import { existsSync } from 'node:fs'
import { parseArgs, styleText } from 'node:util'
import { pathToFileURL } from 'node:url'
import type { Tier } from './case.ts'
import { memoryHarness } from './conformance.ts'
import type { Mode } from './env.ts'
import { type Harness, loadHarness } from './harness.ts'
import { type CaseResult, countCases, runCases } from './run.ts'

const help = `Runs the conformance suite of Polybus against an adapter.

Usage: npm run conformance -- [options]

  --adapter NAME      memory (the default), or another adapter with a harness: adapters/NAME/test/harness.ts below
                      this folder (harness-CLIENT.ts beside it for NAME-CLIENT), else @polybus/NAME/harness
  --harness FILE      a module that exports a harness: \`name\` and \`open(namespace)\`, at least
  --only IDS          these cases alone: numbers or ids, such as 4,6c,d
  --without NAMES     take abilities away from the adapter; memory knows delay, atomicMove, singleSettle, renew,
                      count, releaseHeaders, orderedBatch
  --tier NAMES        of these tiers alone: driver (the adapter on its seam), plain (the contract), fault
  --size SIZE         quick (the default), medium, or full: the sizes and durations of the list of promises
  --full              the same as --size full
  --parallel N        cases at once (default: what the harness says)
  --bail              end at the first case that fails
  --progress          a line for each case as it ends, instead of a list at the end
  --json              one JSON object on the last line: adapter, size, about, passed, failed, skipped, cases
  --help              this text

Examples:
  npm run conformance -- --adapter memory
  npm run conformance -- --adapter memory --without delay,atomicMove --only 5,6
  npm run conformance -- --adapter kafka-platformatic --only 5
  npm run conformance -- --adapter redis --tier fault --size medium --progress
  npm run conformance -- --harness ./test/harness.js --json

Ends with 0 when nothing failed, 1 when a case failed, 2 when it could not run.`

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      adapter: { type: 'string', default: 'memory' },
      harness: { type: 'string' },
      only: { type: 'string' },
      without: { type: 'string' },
      tier: { type: 'string' },
      size: { type: 'string' },
      full: { type: 'boolean', default: false },
      progress: { type: 'boolean', default: false },
      parallel: { type: 'string' },
      bail: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(help)
    return 0
  }
  const harness = await find(values.adapter, values.harness)
  const without = names(values.without)
  const unknown = without.filter((name) => !harness.abilities?.includes(name))
  if (unknown.length > 0)
    throw new Error(
      `--without: ${harness.name} has no ability ${unknown.join(', ')}. It has: ${harness.abilities?.join(', ') ?? 'none to take away'}.`,
    )
  const parallel = values.parallel === undefined ? undefined : Number(values.parallel)
  if (parallel !== undefined && !(Number.isInteger(parallel) && parallel > 0))
    throw new Error('--parallel: expected a whole number from 1.')

  const mode: Mode = pick(values.size ?? (values.full ? 'full' : 'quick'), ['quick', 'medium', 'full'], '--size')
  const tiers = names(values.tier).map((name) => pick<Tier>(name, ['driver', 'plain', 'fault'], '--tier'))
  const chosen = { mode, without, only: names(values.only), tiers: tiers.length > 0 ? tiers : undefined }

  const stray: string[] = []
  process.on('unhandledRejection', (reason) =>
    stray.push(reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)),
  )
  process.on('uncaughtException', (error) => stray.push(error.stack ?? error.message))

  console.log(`Conformance of ${harness.name}${without.length > 0 ? ` without ${without.join(', ')}` : ''}\n`)
  const total = countCases(chosen)
  let done = 0
  const tell = (result: CaseResult): void => {
    done++
    if (values.progress) console.log(`${`[${done}/${total}]`.padStart(9)} ${row(result)}`)
    else if (process.stdout.isTTY) process.stdout.write(mark(result))
  }
  const results = await runCases(harness, { ...chosen, parallel, bail: values.bail, onResult: tell })
  if (!values.progress) console.log(`${process.stdout.isTTY ? '\n\n' : ''}${results.map(row).join('\n')}`)
  console.log('')
  for (const text of stray) console.log(`A promise was rejected and nobody listened: ${text}`)
  const count = (outcome: CaseResult['outcome']): number =>
    results.filter((result) => result.outcome === outcome).length
  const summary = {
    adapter: harness.name,
    size: mode,
    without,
    passed: count('passed'),
    failed: count('failed') + stray.length,
    skipped: count('skipped'),
  }
  console.log(`${summary.passed} passed, ${summary.failed} failed, ${summary.skipped} left out`)
  if (values.json) console.log(JSON.stringify({ ...summary, about: await harness.about?.(), stray, cases: results }))
  return summary.failed > 0 ? 1 : 0
}

const names = (list: string | undefined): readonly string[] =>
  (list ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')

function pick<T extends string>(value: string, allowed: readonly T[], option: string): T {
  const found = allowed.find((one) => one === value)
  if (found === undefined) throw new Error(`${option}: expected ${allowed.join(', ')}, got '${value}'.`)
  return found
}

async function find(adapter: string, file: string | undefined): Promise<Harness> {
  if (file !== undefined) return loadHarness(pathToFileURL(file))
  if (adapter === 'memory') return loadHarness(memoryHarness)
  const [, name, client = ''] = /^([a-z]+)(-[a-z]+)?$/.exec(adapter) ?? []
  const own = `adapters/${name}/test/harness${client}.ts`
  if (name !== undefined && existsSync(own)) return loadHarness(pathToFileURL(own))
  const module = `@polybus/${adapter}/harness`
  try {
    return await loadHarness(module)
  } catch (error) {
    throw new Error(
      `--adapter ${adapter}: cannot import ${module}. Give the file with --harness. ${error instanceof Error ? error.message : ''}`,
      { cause: error },
    )
  }
}

const colours = { passed: 'green', failed: 'red', skipped: 'yellow' } as const
const marks = { passed: '✓', failed: '✗', skipped: '-' } as const

const mark = ({ outcome }: CaseResult): string => styleText(colours[outcome], marks[outcome])

function row({ id, title, outcome, reason, ms }: CaseResult): string {
  const line = `${styleText(colours[outcome], marks[outcome])} ${id.padEnd(4)} ${title}`
  if (outcome === 'skipped') return `${line}\n       left out: ${reason}`
  const time = `${(ms / 1000).toFixed(1)} s`
  return outcome === 'passed' ? `${line}  (${time})` : `${line}  (${time})\n${indent(reason ?? '')}`
}

const indent = (text: string): string => text.replace(/^/gm, '       ')

// By hand, so that a case's forgotten timer cannot hold the process, and output is complete first.
try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = 2
}
if (process.exitCode !== undefined) await new Promise((resolve) => process.stdout.write('', resolve))
process.exit()
