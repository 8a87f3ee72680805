#!/usr/bin/env node
// `npm run brokers -- up redis`
import { parseArgs } from 'node:util'
import { bringUp, handleOf, statusOf, takeDown } from './broker.ts'
import { logsFolder, type Place, placeOf, places, readState } from './cache.ts'
import { engine } from './compose.ts'
import { isComposeFileFresh, writeComposeFile } from './compose-file.ts'
import type { Status } from './driver.ts'
import { progress } from './progress.ts'
import { leftovers, runOf } from './run.ts'
import { type BrokerName, brokerNames, isBroker, services, usualNames } from './services.ts'
import { runCommand } from './run-command.ts'

const HELP = `Real brokers on this machine, for tests and examples: with docker compose where a container engine answers, natively
otherwise. Each has its own port and data, which are kept from down to up.

Usage: npm run brokers -- up|down|status [names] [options]
       npm run brokers -- run COMMAND [arguments]
       npm run brokers -- compose [--check]

  up        starts those that do not run yet, and resolves when they answer; without names, all that can be had here
  down      stops them; without names, all of the instance, and what runs that were killed left behind
  status    shows every instance; with names, ends with 1 unless they all run
  run       runs a command whose brokers are its own, and are gone when it ends
  compose   writes docker-compose.yml from the table of services; --check only compares

  --instance NAME   another set, with ports and data of its own (default: default)
  --all             down: every instance, those of test runs that go on included
  --remove          down: deletes the data too; logs are kept
  --json            one JSON object instead of the table
  --help            this text

Names: ${brokerNames.join(', ')}

Examples:
  npm run brokers -- up
  npm run brokers -- up redis rabbitmq
  npm run brokers -- status --json
  npm run brokers -- down --all --remove
  npm run brokers -- run npm run conformance -- --adapter redis

Ends with 0 when done, 1 when a broker could not be brought up or down, 2 where an option or a name is wrong.`

interface Options {
  readonly instance: string
  readonly all: boolean
  readonly remove: boolean
  readonly json: boolean
  readonly check: boolean
}

interface Row {
  readonly name: BrokerName
  readonly instance: string
  readonly status: Status | 'failed' | 'left out'
  readonly url?: string
  readonly by?: string
  readonly pid?: number
  readonly log?: string
  readonly note?: string
}

class UsageError extends Error {}

async function up(names: readonly BrokerName[], { instance }: Options): Promise<readonly Row[]> {
  const named = names.length > 0
  const found = await engine()
  const wanted = (named ? names : usualNames).map((name) => placeOf(name, instance))
  const bar = progress(wanted.map(({ name }) => name))
  const rows = await Promise.all(
    wanted.map(async (place): Promise<Row> => {
      const { name } = place
      if (!named && !found && !services[name].native) {
        bar.done(name)
        return { name, instance, status: 'left out', note: 'needs a container engine' }
      }
      try {
        const ran = await bringUp(place, bar.say)
        return { ...(await rowOf(place)), note: ran ? 'ran already' : 'started' }
      } catch (error) {
        return { name, instance, status: 'failed', note: (error as Error).message }
      } finally {
        bar.done(name)
      }
    }),
  )
  bar.end()
  return rows
}

async function down(names: readonly BrokerName[], { instance, all, remove }: Options): Promise<readonly Row[]> {
  const dead = new Set(leftovers().map(({ folder }) => folder))
  const chosen = places().filter(
    (place) =>
      (names.length === 0 || names.includes(place.name)) &&
      (all || place.instance === instance || dead.has(place.folder)),
  )
  return Promise.all(
    chosen.map(async (place): Promise<Row> => {
      const { name } = place
      try {
        const gone = remove || dead.has(place.folder)
        const ran = await takeDown(place, { remove: gone })
        const note = `${ran ? 'stopped' : 'did not run'}${gone ? ', removed' : ''}`
        return { name, instance: place.instance, status: 'stopped', note }
      } catch (error) {
        return { name, instance: place.instance, status: 'failed', note: (error as Error).message }
      }
    }),
  )
}

async function status(names: readonly BrokerName[], { instance }: Options): Promise<readonly Row[]> {
  const known = places().filter(({ name }) => names.length === 0 || names.includes(name))
  const absent = (names.length > 0 ? names : usualNames).filter(
    (name) => !known.some((place) => place.name === name && place.instance === instance),
  )
  const rows = await Promise.all(known.map(rowOf))
  return [...absent.map((name): Row => ({ name, instance, status: 'stopped', note: 'never started' })), ...rows]
}

async function rowOf(place: Place): Promise<Row> {
  const { name, instance, log } = place
  const state = readState(place)
  if (!state) return { name, instance, status: 'stopped' }
  const now = await statusOf(place)
  const run = runOf(instance)
  const { url, pid } = handleOf(place)
  return {
    name,
    instance,
    status: now,
    url,
    by: state.by,
    ...(now !== 'stopped' && pid !== undefined && { pid }),
    log,
    ...(run && { note: run.alive ? 'of a test run that goes on' : 'left by a test run that was killed' }),
  }
}

function table(rows: readonly Row[]): string {
  if (rows.length === 0) return 'Nothing to do.'
  const head = ['broker', 'instance', 'status', 'url', 'by', 'pid', '']
  const lines = rows.map(({ name, instance, status, url = '', by = '', pid = '', note = '' }) => [
    name,
    instance,
    status,
    url,
    by,
    String(pid),
    note.split('\n')[0] ?? '',
  ])
  const widths = head.map((title, column) =>
    Math.max(...[head, ...lines].map((row) => row[column]?.length ?? 0), title.length),
  )
  const text = [head, ...lines]
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
  const details = rows.filter(({ note = '' }) => note.includes('\n')).map(({ note }) => note)
  return [text, ...details].join('\n\n')
}

async function main(args: readonly string[]): Promise<number> {
  // Everything after `run` is the command's own.
  if (args[0] === 'run') {
    if (args.length < 2) throw new UsageError('run: which command?')
    return runCommand(args.slice(1))
  }
  const { values, positionals } = readArgs(args)
  const [verb = '', ...names] = positionals
  if (values.help) {
    console.log(HELP)
    return 0
  }
  const unknown = names.filter((name) => !isBroker(name))
  if (unknown.length > 0)
    throw new UsageError(`Unknown broker ${unknown.join(', ')}. Known: ${brokerNames.join(', ')}.`)
  if (verb === 'compose') return writeCompose(values.check)
  const act = { up, down, status }[verb]
  if (!act) throw new UsageError(verb === '' ? 'up, down or status?' : `Unknown command '${verb}'.`)
  const rows = await act([...new Set(names.filter(isBroker))], values)
  const failed = rows.some((row) => row.status === 'failed')
  const missing = verb === 'status' && names.some((name) => !isRunning(rows, name, values.instance))
  const ok = !failed && !missing
  console.log(values.json ? JSON.stringify({ ok, brokers: rows }) : table(rows))
  if (!values.json && failed) console.log(`\nLogs of what was removed: ${logsFolder()}`)
  return ok ? 0 : 1
}

const isRunning = (rows: readonly Row[], name: string, instance: string): boolean =>
  rows.some((row) => row.name === name && row.instance === instance && row.status === 'running')

function readArgs(args: readonly string[]): { values: Options & { help: boolean }; positionals: readonly string[] } {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        instance: { type: 'string', default: 'default' },
        all: { type: 'boolean', default: false },
        remove: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        check: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error })
  }
}

function writeCompose(check: boolean): number {
  if (!check) {
    writeComposeFile()
    return 0
  }
  if (isComposeFileFresh()) return 0
  console.error('docker-compose.yml is not what the table of services says: npm run brokers -- compose')
  return 1
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const usage = error instanceof UsageError
  console.error((error as Error).message)
  if (usage) console.error('npm run brokers -- --help lists commands and options.')
  process.exitCode = usage ? 2 : 1
}
