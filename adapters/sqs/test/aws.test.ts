// What only AWS answers, as errors that say what to do. The answers and their sources: recorded.ts.
import { inspect } from 'node:util'
import {
  type Bus,
  channel,
  type ChannelSpec,
  consumer,
  createBus,
  type Duration,
  type ErrorCode,
  PolybusError,
  systemClock,
  trust,
  type WireMessage,
} from '@polybus/core'
import { expect, onTestFinished, test, vi } from 'vitest'
import { entryFailed } from '../src/errors.ts'
import { sqs, type SqsAdapter, type SqsOptions } from '../src/index.ts'
import {
  type Answer,
  BROKEN,
  DENIED,
  ENTRY_BROKEN,
  EXPIRED,
  json,
  NO_FIFO,
  NO_MESSAGE_GROUP,
  NO_QUEUE,
  PORTAL,
  type Recorded,
  recorded,
  refused,
  SECRETS,
  SERVICE,
  THROTTLED,
  TOO_OLD,
  UNAVAILABLE,
  UNKNOWN_KEY,
  WRONG_SECRET,
} from './recorded.ts'

vi.setConfig({ testTimeout: 30_000 })

async function aws(answers: Readonly<Record<string, Answer>>): Promise<Recorded> {
  const server = await recorded(answers)
  onTestFinished(() => server.close())
  return server
}
const clock = systemClock()
const call = { signal: new AbortController().signal }
const spec = (name: string): ChannelSpec => ({
  name,
  keyed: false,
  partitions: undefined,
  groups: ['work'],
  maxBytes: 1024,
})
const wire = (): WireMessage => ({
  id: 'm-1',
  source: 'test',
  type: 'test',
  time: undefined,
  key: undefined,
  headers: [],
  body: Buffer.from('{}'),
  contentType: undefined,
  dataSchema: undefined,
  correlationId: undefined,
  causationId: undefined,
})

/** What is thrown, which must be one of ours, soon, and without a secret. */
async function thrown(work: () => Promise<unknown>): Promise<PolybusError> {
  const start = clock.now()
  const error = await work().then(
    () => undefined,
    (cause: unknown) => cause,
  )
  expect(clock.now() - start, 'told within 10 s').toBeLessThan(10_000)
  if (!PolybusError.is(error)) throw new Error(`not one of ours: ${inspect(error)}`)
  const shown = inspect(error, { depth: 10 })
  for (const secret of [SECRETS.secretAccessKey, SECRETS.sessionToken]) expect(shown).not.toContain(secret)
  return error
}

const options = (endpoint: string, more: SqsOptions = {}): SqsOptions => ({
  endpoint,
  region: 'eu-west-1',
  client: { credentials: SECRETS },
  ...more,
})
const orders = channel('orders', { schema: trust<{ n: number }>(), groups: ['work'] })
const connect = (given: SqsOptions, connectTimeout: Duration = '8s'): Promise<Bus> =>
  createBus(sqs(given), { logger: false, connectTimeout })

test.each([
  ['an unknown key', UNKNOWN_KEY, 'AUTHENTICATION_FAILED', /AWS_ACCESS_KEY_ID/],
  ['a wrong secret key', WRONG_SECRET, 'AUTHENTICATION_FAILED', /secret key is wrong/],
  ['an expired token', EXPIRED, 'AUTHENTICATION_FAILED', /session token .* has expired.*fixed values/],
  ['something else at this address', PORTAL, 'CONNECTION_FAILED', /JSON protocol.*address/],
] as const)('sqs on AWS: %s is told at the start, and not tried again', async (_, answer, code, text) => {
  const { url, asked } = await aws({ '*': answer })
  const error = await thrown(() => connect(options(url)))
  expect([error.code, error.retryable, error.message]).toEqual([code, false, expect.stringMatching(text)])
  expect(asked).toHaveLength(1)
})

test('sqs on AWS: a clock that is wrong is told, and the SDK is given the time to correct it', async () => {
  const { url, asked } = await aws({ '*': TOO_OLD })
  const error = await thrown(() => connect(options(url), '1s'))
  expect([error.code, error.message]).toEqual(['CONNECT_TIMEOUT', expect.stringMatching(/clock is wrong/)])
  expect(asked.length).toBeGreaterThan(1)
})

test('sqs on AWS: a throttled connect is tried again', async () => {
  const answers: Record<string, Answer> = { '*': THROTTLED }
  const { url, asked } = await aws(answers)
  const connecting = connect(options(url))
  await vi.waitUntil(() => asked.length > 2)
  answers['*'] = NO_QUEUE
  await (await connecting).close()
})

test('sqs on AWS: without credentials or region it says where they are looked for', async () => {
  const { url } = await aws({})
  const none = {
    credentials: () =>
      Promise.reject(
        Object.assign(new Error('Could not load credentials from any providers'), { name: 'CredentialsProviderError' }),
      ),
  }
  const bare = await thrown(() => connect(options(url, { client: none })))
  expect([bare.code, bare.retryable, bare.message]).toEqual([
    'AUTHENTICATION_FAILED',
    false,
    expect.stringMatching(/finds no AWS credentials.*AWS_ACCESS_KEY_ID/),
  ])
  for (const name of ['AWS_REGION', 'AWS_DEFAULT_REGION', 'AWS_PROFILE']) vi.stubEnv(name, undefined)
  vi.stubEnv('AWS_CONFIG_FILE', '/nonexistent')
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nonexistent')
  onTestFinished(() => void vi.unstubAllEnvs())
  const nowhere = await thrown(() => connect({ client: { credentials: SECRETS } }))
  expect([nowhere.code, nowhere.message]).toEqual(['INVALID_OPTION', expect.stringMatching(/sqs\(\)\.region/)])
})

test('sqs on AWS: what may not be done names the action and where the permissions are listed', async () => {
  const { url } = await aws({ GetQueueUrl: NO_QUEUE, CreateQueue: DENIED })
  const bus = await connect(options(url))
  onTestFinished(() => bus.close())
  for (const work of [() => bus.publish(orders, { n: 1 }), () => bus.start(consumer(orders, 'work', () => {}))]) {
    const error = await thrown(work)
    expect([error.code, error.retryable]).toEqual(['ACCESS_DENIED', false])
    expect(error.message).toMatch(/sqs:createqueue.*docs\/brokers\/sqs\.md/)
  }
})

test('sqs on AWS: a missing queue that may not be created is named', async () => {
  const { url } = await aws({ '*': NO_QUEUE })
  const bus = await createBus(sqs(options(url)), { logger: false, topology: 'verify' })
  onTestFinished(() => bus.close())
  const error = await thrown(() => bus.publish(orders, { n: 1 }))
  expect([error.code, error.retryable, error.sent]).toEqual(['TOPOLOGY_MISSING', false, 'no'])
  expect(error.message).toContain('orders--work')
})

/** All queues are there, and sends are answered so. */
async function sending(
  answer: Answer,
  given: SqsOptions = {},
): Promise<{ adapter: SqsAdapter; send(): Promise<PolybusError> }> {
  const { url } = await aws({
    GetQueueUrl: json(200, { QueueUrl: 'https://sqs.eu-west-1.amazonaws.com/123456789012/orders--work' }),
    SendMessageBatch: answer,
  })
  const adapter = sqs(options(url, given))
  onTestFinished(() => adapter.close())
  await adapter.connect({ ...call, namespace: undefined, service: 'test', topology: 'none' })
  adapter.capabilities(spec('orders'))
  return {
    adapter,
    send: () =>
      thrown(async () => {
        const to = { kind: 'channel', channel: 'orders' } as const
        const [result] = await adapter.send([{ handover: 0, message: wire(), to }], call)
        if (result && !result.ok) throw result.error
        const missing = result?.ok ? result.value.missing?.[0] : undefined
        if (missing) throw missing.error
      }),
  }
}
const failing = (entry: object): Answer => json(200, { Successful: [], Failed: [{ Id: '0', ...entry }] })
const TOO_LONG = refused(
  400,
  `${SERVICE}#InvalidParameterValueException`,
  'One or more parameters are invalid. Reason: Message must be shorter than 262144 bytes.',
  'InvalidParameterValue',
)

test.each([
  ['a queue that is a FIFO queue', NO_MESSAGE_GROUP, 'TOPOLOGY_CONFLICT', false, 'no', /of the wrong type/],
  ['a queue that is a standard queue', failing(NO_FIFO), 'TOPOLOGY_CONFLICT', false, 'no', /of the wrong type/],
  ['an entry that AWS failed at', failing(ENTRY_BROKEN), 'BROKER_BUSY', true, 'unknown', /InternalError/],
  ['an answer of 500', BROKEN, 'BROKER_BUSY', true, 'unknown', /cannot answer now/],
  ['an answer of 503 that is no JSON', UNAVAILABLE, 'BROKER_BUSY', true, 'unknown', /503/],
  ['a denied send', DENIED, 'ACCESS_DENIED', false, 'no', /not authorized/],
  ['throttling', THROTTLED, 'BROKER_BUSY', true, 'no', /throttles/],
  ['a token that has expired since', EXPIRED, 'AUTHENTICATION_FAILED', false, 'no', /fixed values/],
  ['a clock that is wrong', TOO_OLD, 'AUTHENTICATION_FAILED', true, 'no', /clock is wrong/],
  ['a queue whose own limit is lower', TOO_LONG, 'MESSAGE_TOO_LARGE', false, 'no', /shorter than 262144/],
  ['a guest network’s own page', PORTAL, 'CONNECTION_FAILED', true, 'unknown', /JSON protocol/],
] as const)('sqs on AWS: a send meets %s', async (_, answer, code, retryable, sent, text) => {
  const error = await (await sending(answer)).send()
  expect([error.code, error.retryable, error.sent, error.message]).toEqual([
    code satisfies ErrorCode,
    retryable,
    sent,
    expect.stringMatching(text),
  ])
})

test('sqs on AWS: a token that has expired since is asked for anew where somebody renews it', async () => {
  let provided = 0
  const credentials = (): Promise<typeof SECRETS> => {
    provided++
    return Promise.resolve(SECRETS)
  }
  const { adapter, send } = await sending(EXPIRED, { client: { credentials } })
  const error = await send()
  expect([error.code, error.retryable, error.sent]).toEqual(['AUTHENTICATION_FAILED', true, 'no'])
  const before = provided
  await adapter.connect({ ...call, namespace: undefined, service: 'test', topology: 'none' })
  expect(provided).toBeGreaterThan(before)
})

test.each([
  ['ReceiptHandleIsInvalid', 'The input receipt handle is invalid.', 'LEASE_LOST'],
  ['AWS.SimpleQueueService.MessageNotInflight', 'The message is not in flight.', 'LEASE_LOST'],
  [
    'InvalidParameterValue',
    'Value AQEB for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.',
    'LEASE_LOST',
  ],
  [
    'InvalidParameterValue',
    'Value AQEB for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.',
    'LEASE_LOST',
  ],
  [
    'InvalidParameterValue',
    'Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds]',
    'BROKER_REFUSED',
  ],
  ['InvalidMessageContents', 'Invalid binary character was found in the message body', 'BROKER_REFUSED'],
  ['KMS.AccessDeniedException', 'The ciphertext refers to a key that you may not use.', 'ACCESS_DENIED'],
  ['KMS.ThrottlingException', 'Rate exceeded', 'BROKER_BUSY'],
  ['OverLimit', 'Too many messages in flight', 'BROKER_BUSY'],
] as const)('sqs on AWS: an entry of a batch failed by %s: %s', (Code, Message, code) => {
  expect(entryFailed({ Id: '0', Code, Message, SenderFault: true }).code).toBe(code)
})
