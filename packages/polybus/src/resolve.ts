// Which options hold: argument, then environment, then file.
import { type Adapter, type BusOptions, type ConnectOptions, invalid } from '@polybus/core'
import { readConfigFile } from './config-file.ts'
import { type Environment, readEnvironment } from './environment.ts'
import { adapterOf, type Load } from './scheme.ts'
import { checkSettings, merge, type Settings } from './settings.ts'

/** What connect() takes from the process. */
export interface Surroundings {
  readonly environment: Environment
  readonly directory: string
  readonly load?: Load | undefined
}

export interface Resolved {
  readonly adapter: Adapter
  readonly options: BusOptions
  /** The file that was read, for errors about what it says. */
  readonly file: string | undefined
}

export async function resolveOptions(
  argument: ConnectOptions | undefined,
  process: Surroundings,
  withFile: boolean = argument === undefined,
): Promise<Resolved> {
  const given: Settings = {}
  if (argument !== undefined) {
    checkSettings(argument, 'connect()')
    Object.assign(given, argument)
  }
  const environment = readEnvironment(process.environment)
  const file = withFile ? await readConfigFile(process.directory) : undefined

  const { broker, ...options } = merge(given, merge(environment, file?.settings ?? {}))
  const where =
    given['broker'] !== undefined
      ? 'connect().broker'
      : environment['broker'] !== undefined
        ? 'POLYBUS_BROKER'
        : `${file?.name ?? 'connect()'}.broker`
  if (broker === null) throw invalid(where, 'expected a URL or an adapter, got null. Leave it out for memory.')
  if (broker === undefined && process.environment['NODE_ENV'] === 'production')
    throw invalid(
      where,
      `none is given. Without one the bus lives in memory and its messages end with the process, which is refused where ` +
        `NODE_ENV is production. Set POLYBUS_BROKER or connect({ broker }); 'memory:' if you mean it.`,
    )
  const adapter = await adapterOf(broker ?? 'memory:', where, process.load)
  return { adapter, options, file: file?.name }
}
