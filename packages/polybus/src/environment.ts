// POLYBUS_* variables, as options of connect().
import { invalid, nearest } from '@polybus/core'
import { FIELDS } from './fields.ts'
import { put, type Settings } from './settings.ts'

export type Environment = Readonly<Record<string, string | undefined>>

const VARIABLES = FIELDS.map(({ variable }) => variable)
// Kubernetes puts these into every pod beside a service that is called polybus.
const KUBERNETES = /^POLYBUS_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_.*)?)$/
// What the tests of Polybus itself are told, and their child processes inherit: which brokers must be there, and whose run it is.
const TESTS = ['POLYBUS_REQUIRE', 'POLYBUS_TEST_RUN']
/** For the commands that work on a schema registry. */
const COMMANDS = ['POLYBUS_REGISTRY']

/**
 * Reads the variables. An empty one counts as unset, because that is what compose files and CI make of an absent value.
 *
 * @throws {PolybusError} `INVALID_OPTION` naming the variable.
 */
export function readEnvironment(environment: Environment): Settings {
  for (const name of Object.keys(environment)) {
    if (!name.startsWith('POLYBUS_') || VARIABLES.includes(name)) continue
    if (KUBERNETES.test(name) || TESTS.includes(name) || COMMANDS.includes(name)) continue
    const near = nearest(name, VARIABLES)
    throw invalid(name, `unknown variable.${near ? ` Did you mean ${near}?` : ''} Known: ${VARIABLES.join(', ')}.`)
  }
  const settings: Settings = {}
  for (const { path, variable, parse, check } of FIELDS) {
    const text = environment[variable]
    if (text === undefined || text === '') continue
    const value = parse(text)
    check(value, variable)
    put(settings, path, value)
  }
  return settings
}
