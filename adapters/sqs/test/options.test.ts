// Options are refused by name, at start, and never with what may be a secret.
import { PolybusError } from '@polybus/core'
import { afterEach, expect, test, vi } from 'vitest'
import { checkOptions, type Settings, type SqsOptions } from '../src/options.ts'

const refusal = (options: unknown): string => {
  try {
    checkOptions(options as SqsOptions)
  } catch (error) {
    if (PolybusError.is(error, 'INVALID_OPTION')) return error.message
    throw error
  }
  return 'accepted'
}
const part = (options: string | SqsOptions, ...keys: readonly (keyof Settings)[]): readonly unknown[] => {
  const settings = checkOptions(options)
  return keys.map((key) => settings[key])
}
afterEach(() => vi.unstubAllEnvs())

test('sqs: the URL says AWS, a region or an emulator', () => {
  vi.stubEnv('AWS_REGION', undefined)
  for (const url of ['sqs:', 'sqs://'])
    expect(part(url, 'region', 'endpoint', 'client')).toEqual([undefined, undefined, {}])
  for (const url of ['sqs://eu-west-1', 'sqs://?region=eu-west-1', 'sqs:?region=eu-west-1', 'sqs://us-gov-west-1'])
    expect(part(url, 'region', 'endpoint', 'client')).toEqual([
      url.includes('gov') ? 'us-gov-west-1' : 'eu-west-1',
      undefined,
      {},
    ])
  expect(part('sqs://localhost:9324', 'region', 'endpoint')).toEqual(['us-east-1', 'http://localhost:9324'])
  expect(part('sqs://[::1]:9324', 'endpoint')).toEqual(['http://[::1]:9324'])
  expect(part('sqs://queue.internal:80?region=eu-west-1', 'region', 'endpoint')).toEqual([
    'eu-west-1',
    'http://queue.internal:80',
  ])
  vi.stubEnv('AWS_REGION', 'ap-south-1')
  expect(part('sqs://localhost:9324', 'region')).toEqual(['ap-south-1'])
  expect(part('sqs:', 'region')).toEqual([undefined])
})

test('sqs: an emulator gets credentials of its own, never those of AWS', () => {
  expect(checkOptions('sqs://localhost:9324').client.credentials).toEqual({
    accessKeyId: 'polybus',
    secretAccessKey: 'polybus',
  })
  expect(checkOptions('sqs://me:se%2Fcret@localhost:9324').client.credentials).toEqual({
    accessKeyId: 'me',
    secretAccessKey: 'se/cret',
  })
  expect(checkOptions({ url: 'sqs:', endpoint: 'https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com' }).client).toEqual({})
})

test('sqs: whether credentials can renew themselves is known', () => {
  const fixed = { accessKeyId: 'a', secretAccessKey: 'b' }
  const renewed = { ...fixed, expiration: new Date() }
  expect(part({ client: { credentials: fixed } }, 'fixedCredentials')).toEqual([true])
  expect(part({ client: { credentials: renewed } }, 'fixedCredentials')).toEqual([false])
  expect(part({ client: { credentials: () => Promise.resolve(renewed) } }, 'fixedCredentials')).toEqual([false])
  expect(part('sqs:', 'fixedCredentials')).toEqual([false])
})

test('sqs: options go over the URL, and numbers stand in either', () => {
  expect(part('sqs:?visibilityMs=60000&maxMessageBytes=1048576', 'visibilityMs', 'maxMessageBytes')).toEqual([
    60_000, 1_048_576,
  ])
  expect(
    part(
      { url: 'sqs://eu-west-1?visibilityMs=60000', region: 'eu-west-2', visibilityMs: 5000 },
      'region',
      'visibilityMs',
    ),
  ).toEqual(['eu-west-2', 5000])
  // What the client is given stays with it.
  expect(part({ url: 'sqs://localhost:9324', client: { region: 'eu-west-2' } }, 'region')).toEqual([undefined])
  expect(
    part({}, 'visibilityMs', 'waitMs', 'requestTimeoutMs', 'maxReceiveCount', 'maxMessageBytes', 'deduplication'),
  ).toEqual([30_000, 1000, 5000, 1000, 262_144, 'messageGroup'])
})

test('sqs: options that are right are accepted', () => {
  const queueUrl = 'https://sqs.eu-west-1.amazonaws.com/123456789012/orders'
  const envelopes = ['cloudevents', 'none', 'sns', { id: () => 'x', key: undefined }, undefined]
  for (const envelope of envelopes) expect(refusal({ channels: { orders: { envelope } } })).toBe('accepted')
  for (const each of [queueUrl, `${queueUrl}.fifo`, 'http://localhost:9324/000000000000/orders'])
    expect(refusal({ channels: { orders: { groups: { email: { queueUrl: each } } } } })).toBe('accepted')
  expect(refusal({ acceptedHazards: ['retention', 'redrive'], deduplication: 'queue' })).toBe('accepted')
})

test.each([
  [7, /sqs\(\): expected an object/],
  [{ visiblityMs: 5 }, /sqs\(\)\.visiblityMs: unknown option. Did you mean 'visibilityMs'/],
  [{ visibilityMs: 1500 }, /sqs\(\)\.visibilityMs: expected whole seconds/],
  [{ visibilityMs: 43_201_000 }, /sqs\(\)\.visibilityMs: .*43200000/],
  [{ visibilityMs: 0 }, /sqs\(\)\.visibilityMs/],
  [{ waitMs: 20_000 }, /sqs\(\)\.waitMs/],
  [{ waitMs: 100 }, /sqs\(\)\.waitMs: expected whole seconds/],
  [{ requestTimeoutMs: 1 }, /sqs\(\)\.requestTimeoutMs/],
  [{ maxReceiveCount: 1001 }, /sqs\(\)\.maxReceiveCount/],
  [{ maxMessageBytes: 1_048_577 }, /sqs\(\)\.maxMessageBytes/],
  [{ deduplication: 'none' }, /sqs\(\)\.deduplication: expected 'messageGroup' or 'queue'/],
  [{ acceptedHazards: ['fsync'] }, /sqs\(\)\.acceptedHazards: expected entries of retention, redrive/],
  [{ region: 'Europe (Ireland)' }, /sqs\(\)\.region: expected a region/],
  [{ endpoint: 'localhost:9324' }, /sqs\(\)\.endpoint: expected a URL/],
  [{ endpoint: 'https://host/path' }, /sqs\(\)\.endpoint/],
  [{ url: 'sqs://h:1', endpoint: 'http://h:2' }, /sqs\(\)\.endpoint: is given by the host/],
  [{ client: 'x' }, /sqs\(\)\.client: expected an object/],
  [{ client: { send: () => {} } }, /sqs\(\)\.client: .*not a client/],
  [{ url: 'http://h' }, /sqs\(\)\.url: unknown scheme 'http:'/],
  [{ url: 'nonsense' }, /sqs\(\)\.url: expected a URL/],
  [{ url: '' }, /sqs\(\)\.url: expected a URL/],
  [{ url: 5 }, /sqs\(\)\.url: expected a URL/],
  ['sqs://host:1/000000000000/orders', /sqs\(\)\.url: its path must be empty/],
  ['sqs:?visibility=5', /sqs: URL, visibility: unknown option. Known: region/],
  ['sqs:?visibilityMs=abc', /sqs\(\)\.visibilityMs/],
  ['sqs://key:secret@eu-west-1', /sqs\(\)\.url: credentials of AWS do not stand in a URL/],
  [{ channels: { UP: {} } }, /sqs\(\)\.channels\.UP/],
  [{ channels: { c: { queue: 'x' } } }, /channels\.c\.queue: unknown option/],
  [{ channels: { c: { envelope: 'soap' } } }, /channels\.c\.envelope: expected 'cloudevents', 'none', 'sns'/],
  [{ channels: { c: { envelope: { id: 5 } } } }, /channels\.c\.envelope\.id: expected a function/],
  [{ channels: { c: { envelope: { body: () => {}, head: () => {} } } } }, /envelope\.head: unknown option/],
  [{ channels: { c: { groups: { UP: {} } } } }, /channels\.c\.groups\.UP/],
  [{ channels: { c: { groups: { g: { queueUrl: 'orders' } } } } }, /groups\.g\.queueUrl: expected a queue's URL/],
  [
    { channels: { c: { groups: { g: { queueUrl: 'https://h/1/q', deadLetterQueueUrl: 'https://h/1/q' } } } } },
    /groups\.g\.deadLetterQueueUrl: is the queue itself/,
  ],
])('sqs: %j is refused by name', (options, text) => {
  expect(refusal(options)).toMatch(text)
})

test('sqs: a refusal never shows a secret', () => {
  for (const options of [
    'sqs://AKIAX:hunter2@ho st',
    'sqs://AKIAX:hunter2@h/a/b',
    'sqs://AKIAX:hunter2@eu-west-1',
    'sqs://AKIAX:hunter2@h:1?x=1',
    { endpoint: 'https://AKIAX:hunter2@host' },
    { region: 'hunter2 ' },
    { client: { credentials: { accessKeyId: 'AKIAX', secretAccessKey: 'hunter2' } }, waitMs: -1 },
    { channels: { c: { groups: { g: { queueUrl: 'https://AKIAX:hunter2@h/1/q' } } } } },
  ])
    expect(refusal(options)).not.toMatch(/hunter2|accepted/)
})
