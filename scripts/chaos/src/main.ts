// npm run chaos: the proof that nothing is lost and nothing done twice, whatever dies.
import { BrokerUnavailable } from '@polybus/brokers'
import { PolybusError } from 'polybus'
import { HELP, type Options, readOptions } from './options.ts'
import { accountText, commandOf, isOk, jsonOf, scheduleText, writeReport } from './report.ts'
import { runChaos } from './run.ts'
import { type Fault, scheduleOf } from './schedule.ts'
import { isKillable } from './servers.ts'

const planned = ({ seed, minutes, broker, store, publishers, consumers }: Options): readonly Fault[] =>
  scheduleOf({
    seed,
    durationMs: minutes * 60_000,
    kills: isKillable(broker),
    store: store === 'sqlite' ? 'file' : 'server',
    publishers,
    consumers,
  })

async function main(): Promise<number> {
  let options
  try {
    options = readOptions(process.argv.slice(2))
  } catch (error) {
    console.error(`${(error as Error).message}\nnpm run chaos -- --help lists the options.`)
    return 2
  }
  if (options.help) {
    console.log(HELP)
    return 0
  }
  const schedule = planned(options)
  console.log(`seed ${options.seed}: ${commandOf(options)}`)
  if (options.dryRun) {
    console.log(scheduleText(schedule))
    if (options.json) console.log(JSON.stringify({ seed: options.seed, schedule }))
    return 0
  }
  try {
    const outcome = await runChaos(options, schedule, (text) => console.log(text))
    console.log(`\n${accountText(outcome)}`)
    if (options.report !== undefined) writeReport(options.report, outcome)
    if (options.json) console.log(JSON.stringify(jsonOf(outcome)))
    return isOk(outcome) ? 0 : 1
  } catch (error) {
    console.error((error as Error).message)
    if (error instanceof BrokerUnavailable) return 3
    return PolybusError.is(error, 'INVALID_OPTION') ? 2 : 1
  }
}

process.exitCode = await main()
