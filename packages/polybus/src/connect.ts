import { type Bus, type ConnectOptions, createBus, invalid, PolybusError } from '@polybus/core'
import { resolveOptions } from './resolve.ts'

/**
 * Connects to a broker and gives a bus.
 *
 * `broker` is a URL, whose scheme says which adapter is loaded (`kafka:`, `amqp:`, `amqps:`, `sqs:`, `redis:`, `rediss:`
 * of packages that you install, `memory:` of this one), or an adapter object. Without one the bus lives in memory.
 *
 * What an option does not say is taken from the `POLYBUS_*` variables. A call without arguments also reads
 * `polybus.config.json`, `.js`, `.mjs` or `.ts` in the working directory. Precedence: argument, environment, file.
 *
 * @param options See {@link ConnectOptions} for units and defaults. Unknown ones are refused.
 * @returns A bus that is connected. It goes on by itself when the connection is lost; `close()` ends it.
 * @throws {PolybusError} `INVALID_OPTION` naming the option, the variable, or the file and field, also where no broker is
 * given and `NODE_ENV` is `production`; `ADAPTER_MISSING` with the command that installs the package;
 * `INCOMPATIBLE_ADAPTER`; `CONNECTION_FAILED`, `CONNECT_TIMEOUT` and `AUTHENTICATION_FAILED`.
 * @example
 * const bus = await connect({ broker: process.env['BROKER_URL'], service: 'shop' })
 * await bus.publish(orders, order)
 * await bus.close()
 */
export function connect(options?: ConnectOptions): Promise<Bus> {
  return connectTo(options, options === undefined)
}

/**
 * As `connect()` without arguments, environment and configuration file included, with what `over` says before both: for
 * tools that act in the place of a program, such as the command line.
 *
 * @example
 * const bus = await connectWith({ topology: 'verify' })
 */
export function connectWith(over: ConnectOptions): Promise<Bus> {
  return connectTo(over, true)
}

async function connectTo(options: ConnectOptions | undefined, withFile: boolean): Promise<Bus> {
  const surroundings = { environment: process.env, directory: process.cwd() }
  const resolved = await resolveOptions(options, surroundings, withFile)
  try {
    return await createBus(resolved.adapter, resolved.options)
  } catch (error) {
    throw resolved.file === undefined ? error : blamed(error, resolved.file)
  }
}

/** Variables are checked before, so that what core refuses after a file was read stands in the file. */
function blamed(error: unknown, file: string): unknown {
  const prefix = 'connect().'
  if (!PolybusError.is(error, 'INVALID_OPTION') || !error.message.startsWith(prefix)) return error
  const [field = '', ...text] = error.message.slice(prefix.length).split(': ')
  return invalid(`${file}.${field}`, text.join(': '))
}
