import { PolybusError } from '@polybus/core'
import { expect, test } from 'vitest'
import { kafka, type KafkaOptions } from '../src/index.ts'
import { checkOptions } from '../src/options.ts'

const url = 'kafka://user:s3cret@127.0.0.1:9092'
const platformatic = (more: object): object => ({ url, client: { kind: 'platformatic', ...more } })
const wrong: readonly [what: string, options: unknown, named: RegExp][] = [
  ['no text', { url: 5 }, /kafka\(\)\.url/],
  ['another scheme', 'amqp://user:s3cret@a', /kafka\(\)\.url: unknown scheme/],
  ['a host that is none', 'kafka://user:s3cret@a b:1', /kafka\(\)\.url/],
  ['an empty host among several', 'kafka://user:s3cret@a:1,,b:2', /kafka\(\)\.url/],
  ['a port that is none', 'kafka://user:s3cret@a:99999', /kafka\(\)\.url/],
  ['an IPv6 address', 'kafka://user:s3cret@[::1]:9092', /IPv6/],
  ['a path', `${url}/orders`, /kafka\(\)\.url.*path/],
  ['a user without a password', 'kafka://s3cret@a', /kafka\(\)\.url.*password/],
  ['a bad escape in the password', 'kafka://user:s3cret%@a', /%25/],
  ['an unknown mechanism', `${url}?sasl=magic`, /kafka: URL, sasl/],
  ['a mechanism without a user', 'kafka://a?sasl=plain', /kafka: URL, sasl/],
  ['ssl that is no switch', `${url}?ssl=1`, /kafka: URL, ssl/],
  ['an unknown option of the URL', `${url}?session=5`, /kafka: URL, session/],
  ['a wrong option of the URL', `${url}?commitMs=soon`, /kafka\(\)\.commitMs/],
  ['an unknown option', { url, session: 5 }, /kafka\(\)\.session/],
  ['a negative session', { url, sessionTimeoutMs: -1 }, /kafka\(\)\.sessionTimeoutMs/],
  ['heartbeats that are too rare', { url, sessionTimeoutMs: 6000, heartbeatMs: 4000 }, /kafka\(\)\.heartbeatMs/],
  ['no partitions', { url, partitions: 0 }, /kafka\(\)\.partitions/],
  ['no replicas', { url, replicationFactor: 0 }, /kafka\(\)\.replicationFactor/],
  ['a retention that is none', { url, retentionMs: -2 }, /kafka\(\)\.retentionMs/],
  ['an unknown answer to lost positions', { url, offsetOutOfRange: 'ignore' }, /kafka\(\)\.offsetOutOfRange/],
  ['idempotent that is no switch', { url, idempotent: 'yes' }, /kafka\(\)\.idempotent/],
  ['an unknown compression', { url, compression: 'rar' }, /kafka\(\)\.compression/],
  ['an unknown compression in the URL', `${url}?compression=rar`, /kafka\(\)\.compression/],
  ['an unknown hazard', { url, acceptedHazards: ['fire'] }, /kafka\(\)\.acceptedHazards/],
  ['hazards that are no list', { url, acceptedHazards: 'replication' }, /kafka\(\)\.acceptedHazards/],
  ['an unknown option of the client', { url, client: { retries: 5 } }, /kafka\(\)\.client\.retries/],
  ['the client’s own retries', { url, client: { retry: { retries: 5 } } }, /kafka\(\)\.client\.retry/],
  ['brokers with a scheme', { client: { brokers: ['kafka://a:1'] } }, /kafka\(\)\.client\.brokers/],
  ['no brokers', { client: { brokers: [] } }, /kafka\(\)\.client\.brokers/],
  ['credentials that are a text', { url, client: { sasl: 's3cret' } }, /kafka\(\)\.client\.sasl/],
  ['an unknown client', { url, client: 'rdkafka' }, /kafka\(\)\.client/],
  ['an unknown client in the URL', `${url}?client=rdkafka`, /kafka\(\)\.client/],
  ['an unknown kind of client', { url, client: { kind: 'kafkajs' } }, /kafka\(\)\.client\.kind/],
  ['no kind of client', { url, client: { kind: undefined } }, /kafka\(\)\.client\.kind/],
  ['an option that only kafkajs has', platformatic({ socketFactory: () => {} }), /kafka\(\)\.client\.socketFactory/],
  ['no brokers of platformatic', platformatic({ brokers: [] }), /kafka\(\)\.client\.brokers/],
  ['a function for brokers of platformatic', platformatic({ brokers: () => ['a:1'] }), /kafka\(\)\.client\.brokers/],
  [
    'a mechanism that only kafkajs has',
    platformatic({ sasl: { mechanism: 'aws', username: 'user', password: 's3cret' } }),
    /kafka\(\)\.client\.sasl\.mechanism/,
  ],
  ['a login without a password', platformatic({ sasl: { mechanism: 'plain', username: 's3cret' } }), /client\.sasl/],
  ['TLS that is a text', platformatic({ ssl: 's3cret' }), /kafka\(\)\.client\.ssl/],
  ['a client’s id that is none', platformatic({ clientId: '' }), /kafka\(\)\.client\.clientId/],
  ['a connect time-out that is none', platformatic({ connectTimeoutMs: 0 }), /client\.connectTimeoutMs/],
  ['an address that is no function', platformatic({ addressOf: 'a:1' }), /kafka\(\)\.client\.addressOf/],
  ['a channel’s name that is none', { url, channels: { 'or.ders': {} } }, /kafka\(\)\.channels/],
  [
    'an unknown option of a channel',
    { url, channels: { orders: { topics: 'x' } } },
    /kafka\(\)\.channels\.orders\.topics/,
  ],
  ['a topic’s name that is none', { url, channels: { orders: { topic: 'a b' } } }, /channels\.orders\.topic/],
  [
    'a setting that is no text',
    { url, channels: { orders: { config: { 'retention.ms': 5 } } } },
    /config\.retention\.ms/,
  ],
  ['an unknown envelope', { url, channels: { orders: { envelope: 'xml' } } }, /channels\.orders\.envelope/],
  ['an envelope of no functions', { url, channels: { orders: { envelope: { id: 'x' } } } }, /orders\.envelope\.id/],
  ['declare that is no switch', { url, channels: { orders: { declare: 'no' } } }, /channels\.orders\.declare/],
  ['an empty group id', { url, channels: { orders: { groups: { mail: { groupId: '' } } } } }, /groups\.mail\.groupId/],
  ['a dead-letter topic that is none', { url, channels: { orders: { groups: { mail: { deadLetter: '/' } } } } }, /mail\.deadLetter/], // prettier-ignore
]

test.each(wrong)('kafka: refuses %s, by its name, and shows no secret', (_, options, named) => {
  let error: unknown
  try {
    kafka(options as KafkaOptions)
  } catch (thrown) {
    error = thrown
  }
  expect(PolybusError.is(error, 'INVALID_OPTION')).toBe(true)
  expect(String((error as Error).message)).toMatch(named)
  expect(String((error as Error).stack)).not.toContain('s3cret')
})

const brokersOf = (text: string): unknown => checkOptions(text).client.brokers
test('kafka: a URL names several hosts, and the port may be left out', () => {
  expect(brokersOf('kafka:')).toEqual(['localhost:9092'])
  expect(brokersOf('kafka://')).toEqual(['localhost:9092'])
  expect(brokersOf('kafka://a')).toEqual(['a:9092'])
  expect(brokersOf('KAFKA://a:1,b,c.example:3/')).toEqual(['a:1', 'b:9092', 'c.example:3'])
  expect(brokersOf(`${url}?ssl=true`)).toEqual(['127.0.0.1:9092'])
})

test('kafka: user, password and mechanism come from the URL', () => {
  expect(checkOptions(url).client.sasl).toEqual({ mechanism: 'plain', username: 'user', password: 's3cret' })
  expect(checkOptions('kafka://u%40x:p%3A%2F%25@a?sasl=SCRAM-SHA-512&ssl=true').client).toEqual({
    brokers: ['a:9092'],
    ssl: true,
    sasl: { mechanism: 'scram-sha-512', username: 'u@x', password: 'p:/%' },
  })
  expect(checkOptions('kafka://a').client).toEqual({ brokers: ['a:9092'] })
})

test('kafka: numbers may stand in the URL, and options win over it', () => {
  const settings = checkOptions({
    url: 'kafka://a?sessionTimeoutMs=20000&heartbeatMs=2000&partitions=3&retentionMs=-1&compression=gzip',
    partitions: 5,
    client: { brokers: ['b:1'], clientId: 'mine' },
  })
  expect(settings).toMatchObject({ sessionTimeoutMs: 20_000, heartbeatMs: 2000, partitions: 5, retentionMs: -1 })
  expect(settings).toMatchObject({ compression: 'gzip', client: { brokers: ['b:1'], clientId: 'mine' } })
})

test('kafka: the client is told by its name, in the URL too, and takes what the URL says', () => {
  const fromUrl = { brokers: ['a:9092'], ssl: true, sasl: { mechanism: 'plain', username: 'u', password: 'p' } }
  const kind = 'platformatic'
  expect(checkOptions('kafka://u:p@a?ssl=true&client=platformatic').client).toEqual({ kind, ...fromUrl })
  expect(checkOptions({ url: 'kafka://u:p@a?ssl=true', client: kind }).client).toEqual({ kind, ...fromUrl })
  expect(checkOptions({ url: 'kafka://u:p@a?ssl=true&client=platformatic', client: 'kafkajs' }).client).toEqual(fromUrl)
  const own = { kind, brokers: ['b:1'], clientId: 'mine', connectTimeoutMs: 500 } as const
  expect(checkOptions({ url: 'kafka://u:p@a?ssl=true', client: own }).client).toEqual({ ...fromUrl, ...own })
})

test('kafka: what is not said has the documented value', () => {
  expect(checkOptions({})).toEqual({
    client: { brokers: ['localhost:9092'] },
    sessionTimeoutMs: 10_000,
    heartbeatMs: 1000,
    commitMs: 500,
    handoverMs: 30_000,
    commandTimeoutMs: 5000,
    partitions: 8,
    replicationFactor: undefined,
    retentionMs: undefined,
    offsetOutOfRange: 'error',
    idempotent: true,
    compression: 'none',
    acceptedHazards: [],
    channels: new Map(),
  })
})

test('kafka: has no client before it is connected', () => {
  expect(kafka(url).client).toBeUndefined()
  expect(kafka('kafka:').name).toBe('kafka')
})
