// new URL() takes one host only, so this reads what brokers of Kafka need: several. Errors never show the text: it may hold a password.
import { invalid } from '@polybus/core'

/** One of these mechanisms, with a name and a password. */
export type KafkaLogin = {
  readonly [Mechanism in (typeof MECHANISMS)[number]]: {
    readonly mechanism: Mechanism
    readonly username: string
    readonly password: string
  }
}[(typeof MECHANISMS)[number]]
export interface KafkaUrl {
  readonly brokers: string[]
  readonly ssl: boolean
  readonly sasl: KafkaLogin | undefined
  readonly query: ReadonlyMap<string, string>
}

const WHERE = 'kafka().url'
const EXAMPLE = 'kafka://user:password@host1:9092,host2:9092'
const MECHANISMS = ['plain', 'scram-sha-256', 'scram-sha-512'] as const
/** [v6]:port, or host:port; the port may be left out. */
const HOST = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::(\d{1,5}))?$/i

/**
 * @param known The names that its query may hold, besides `ssl` and `sasl`.
 * @throws {PolybusError} `INVALID_OPTION`
 */
export function readUrl(text: unknown, known: readonly string[]): KafkaUrl {
  if (typeof text !== 'string') throw invalid(WHERE, 'expected a text.')
  const match = /^([a-z][a-z0-9+.-]*):(?:\/\/)?(.*)$/is.exec(text)
  if (!match) throw invalid(WHERE, `expected a URL such as ${EXAMPLE}.`)
  const scheme = match[1]?.toLowerCase()
  if (scheme !== 'kafka') throw invalid(WHERE, `unknown scheme '${scheme}:'. Known: kafka:.`)
  const [, authority = '', path = '', search = ''] = /^([^/?#]*)([^?#]*)(?:\?([^#]*))?/.exec(match[2] ?? '') ?? []
  if (path !== '' && path !== '/') throw invalid(WHERE, 'has a path, which means nothing on Kafka. Leave it out.')

  const at = authority.lastIndexOf('@')
  const query = readQuery(search, ['ssl', 'sasl', ...known])
  return {
    brokers: authority
      .slice(at + 1)
      .split(',')
      .map((host) => brokerOf(host, authority === '')),
    ssl: flag(query.get('ssl')),
    sasl: saslOf(at < 0 ? undefined : authority.slice(0, at), query.get('sasl')),
    query,
  }
}

function brokerOf(host: string, none: boolean): string {
  const [, v6, name = none ? 'localhost' : undefined, port = '9092'] = HOST.exec(host) ?? []
  if (v6 !== undefined)
    throw invalid(WHERE, 'holds an IPv6 address, which kafkajs cannot read. Give the name of the host.')
  if (name === undefined || Number(port) > 65_535)
    throw invalid(WHERE, `expected hosts such as host1:9092,host2:9092: ${EXAMPLE}.`)
  return `${name}:${port}`
}

function readQuery(search: string, known: readonly string[]): Map<string, string> {
  const query = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(search)) {
    if (!known.includes(name)) throw invalid(`kafka: URL, ${name}`, `unknown option. Known: ${known.join(', ')}.`)
    query.set(name, value)
  }
  return query
}

function flag(value: string | undefined): boolean {
  if (value === undefined || value === 'false') return false
  if (value === 'true') return true
  throw invalid('kafka: URL, ssl', 'expected true or false.')
}

function saslOf(user: string | undefined, named: string | undefined): KafkaLogin | undefined {
  const mechanism = MECHANISMS.find((each) => each === (named ?? 'plain').toLowerCase())
  if (mechanism === undefined)
    throw invalid(
      'kafka: URL, sasl',
      `unknown mechanism. Known: ${MECHANISMS.join(', ')}; others by kafka().client.sasl.`,
    )
  if (user === undefined || user === '') {
    if (named === undefined) return undefined
    throw invalid('kafka: URL, sasl', `needs a user and a password: ${EXAMPLE}.`)
  }
  const colon = user.indexOf(':')
  if (colon < 0) throw invalid(WHERE, `has a user without a password: ${EXAMPLE}.`)
  const [username, password] = [user.slice(0, colon), user.slice(colon + 1)].map(decode) as [string, string]
  return { mechanism, username, password }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalid(WHERE, "its user or password holds a '%' that stands for nothing. Write it as %25.")
  }
}
