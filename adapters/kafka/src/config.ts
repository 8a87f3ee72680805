// Settings of topics and brokers, as far as the user may look at them.
import { type Call, PolybusError } from '@polybus/core'
import type { ConfigEntry } from './client.ts'
import type { Session } from './session.ts'

export type Config = ReadonlyMap<string, ConfigEntry>

/** Undefined where the user lacks DescribeConfigs. */
export const readConfig = (session: Session, topic: string, call: Call): Promise<Config | undefined> =>
  allowed(session.client.admin.topicConfig(topic, call))

export const readBrokerConfig = (session: Session, node: number, call: Call): Promise<Config | undefined> =>
  allowed(session.client.admin.brokerConfig(node, call))

async function allowed(asked: Promise<readonly ConfigEntry[]>): Promise<Config | undefined> {
  try {
    return new Map((await asked).map((entry) => [entry.name, entry]))
  } catch (error) {
    if (PolybusError.is(error, 'ACCESS_DENIED')) return undefined
    throw error
  }
}

/** One line for each setting that is another. */
export function differences(topic: string, wanted: Readonly<Record<string, string>>, has: Config): string[] {
  return Object.entries(wanted).flatMap(([name, value]) => {
    const entry = has.get(name)
    if (!entry) return [`the topic '${topic}' has no setting '${name}'`]
    const found = entry.value ?? ''
    return same(found, value) ? [] : [`the topic '${topic}' has ${name} '${found}', not '${value}'`]
  })
}

/** Kafka keeps lists in any order, and writes numbers its own way. */
function same(one: string, other: string): boolean {
  const list = (text: string): string =>
    text
      .split(',')
      .map((each) => each.trim().toLowerCase())
      .toSorted()
      .join(',')
  const isNumber = one.trim() !== '' && other.trim() !== ''
  return list(one) === list(other) || (isNumber && Number(one) === Number(other))
}
