import { type BrokerName, brokerNames, isBroker } from './services.ts'

const REQUIRE = 'POLYBUS_REQUIRE'

/**
 * The brokers that must be there: `POLYBUS_REQUIRE=redis,rabbitmq`.
 *
 * @throws {Error} naming one that is unknown: a misspelt name would require nothing.
 */
export function requiredBrokers(env: NodeJS.ProcessEnv = process.env): readonly BrokerName[] {
  const names = (env[REQUIRE] ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  const unknown = names.filter((name) => !isBroker(name))
  if (unknown.length > 0)
    throw new Error(`${REQUIRE}: unknown broker ${unknown.join(', ')}. Known: ${brokerNames.join(', ')}.`)
  return [...new Set(names.filter(isBroker))]
}
