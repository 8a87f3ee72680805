// What a broker refuses, and what can only be a wrong setting: an error that says what to do, within 10 s.
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import { describeBroker, kafkaUsers } from '@polybus/brokers'
import { PolybusError } from '@polybus/core'
import kafkajs from 'kafkajs'
import { expect, onTestFinished, test, vi } from 'vitest'
import { call as idle, client, record, topic, valuesOf } from './client-support.ts'
import { bench, create, send, spec, subscribe, wire } from './support.ts'

vi.setConfig({ testTimeout: 60_000 })
const LIMIT_MS = 10_000

/** What it rejects with, within the limit. */
async function refusal(work: Promise<unknown>): Promise<PolybusError> {
  const begun = performance.now()
  const error = await work.then(
    (value) => expect.fail(`it was not refused: ${String(value)}`),
    (thrown: unknown) => thrown,
  )
  expect(performance.now() - begun).toBeLessThan(LIMIT_MS)
  expect(PolybusError.is(error)).toBe(true)
  return error as PolybusError
}
const nobody = { sessionTimeoutMs: 6000, rebalanceTimeoutMs: 6000, heartbeatMs: 300, maxWaitMs: 250, maxBytesPerPartition: 2 ** 20 } // prettier-ignore
const silent = {
  onAssigned: () => Promise.resolve([]),
  onRevoking: () => Promise.resolve(),
  onLost: () => {},
  onRecords: () => {},
  onCheck: () => {},
  onOutOfRange: () => {},
  onDead: () => {},
}

await describeBroker('kafka', (broker) => {
  const secured = (
    user: { readonly username: string; readonly password: string } | undefined,
    mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512' = 'plain',
  ) => {
    const { host, ports } = broker()
    const sasl = user && { mechanism, ...user }
    return client({ host, port: ports['sasl'] ?? 0 }, { client: { ...(sasl && { sasl }) } })
  }
  const { admin, guest } = kafkaUsers

  test.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)(
    'kafka: a user may log in by %s',
    async (mechanism) => {
      const own = secured(admin, mechanism)
      await own.connect(idle)
      const name = await topic(own)
      const [result] = await own.producer().produce([{ topic: name, partition: 0, records: [record('x')] }], idle)
      expect(result).toEqual({ ok: true, value: 0n })
      expect(await valuesOf(own, name)).toEqual(['x'])
    },
  )

  test.each(['plain', 'scram-sha-256'] as const)(
    'kafka: a wrong password is refused by %s, and not shown',
    async (mechanism) => {
      const error = await refusal(secured({ ...admin, password: 's3cret-but-wrong' }, mechanism).connect(idle))
      expect(error).toMatchObject({ code: 'AUTHENTICATION_FAILED', retryable: false })
      expect(error.message).toMatch(/Check user, password/)
      expect(String(error.stack)).not.toContain('s3cret')
    },
  )

  test.each([
    ['nothing but zeros', Buffer.alloc(64)],
    ['nothing but ones', Buffer.alloc(64, 255)],
    ['a frame of two bytes', Buffer.from([0, 0, 0, 2, 1, 2])],
    ['an answer in HTTP', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ])('kafka: what is no Kafka ends the connection, not the process: %s', async (_, bytes) => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.on('data', () => socket.write(bytes))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const { port } = server.address() as { port: number }
    const error = await refusal(client({ host: '127.0.0.1', port }).connect(idle))
    expect(error).toMatchObject({ code: 'CONNECTION_FAILED' })
  })

  test('kafka: a topic that its broker compresses is refused at the start where the package is not installed', async () => {
    const { connect } = bench(broker())
    const adapter = await connect({ channels: { orders: { config: { 'compression.type': 'lz4' } } } })
    await create(adapter, spec('orders'))
    vi.doMock('lz4-napi', () => {
      throw new Error("Cannot find package 'lz4-napi'")
    })
    onTestFinished(() => vi.doUnmock('lz4-napi'))
    const error = await refusal(subscribe(adapter, spec('orders')))
    expect(error).toMatchObject({ code: 'UNSUPPORTED', message: expect.stringContaining('npm install lz4-napi') })
    vi.doUnmock('lz4-napi')
    await (await subscribe(adapter, spec('orders'))).feed.close()
  })

  test('kafka: a listener that wants a login says so to who has none', async () => {
    const error = await refusal(secured(undefined).connect(idle))
    expect(error).toMatchObject({ code: 'AUTHENTICATION_FAILED', retryable: false })
    expect(error.message).toMatch(/login/)
  })

  test('kafka: who may log in but do nothing is denied what he asks for', async () => {
    const own = client(broker())
    const name = await topic(own)
    const guests = secured(guest)
    await guests.connect(idle)
    const [written] = await guests.producer().produce([{ topic: name, partition: 0, records: [record('x')] }], idle)
    expect(written?.ok === false && written.error).toMatchObject({
      code: 'ACCESS_DENIED',
      retryable: false,
      sent: 'no',
    })
    const options = { group: `${name}.g`, topics: [name], ...nobody, events: silent }
    expect(await refusal(guests.join(options, idle))).toMatchObject({ code: 'ACCESS_DENIED', retryable: false })
    const wanted = { topic: `${name}-more`, partitions: 1, replicationFactor: undefined, config: {} }
    expect(await refusal(guests.admin.createTopics([wanted], idle))).toMatchObject({ code: 'ACCESS_DENIED' })
    expect(await refusal(guests.read({ topic: name, partition: 0, offset: 0n }, 1, idle))).toMatchObject({ code: 'ACCESS_DENIED' }) // prettier-ignore
  })

  test('kafka: TLS to a listener without is a wrong setting', async () => {
    const error = await refusal(client(broker(), { client: { ssl: true } }).connect(idle))
    expect(error).toMatchObject({ code: 'CONNECTION_FAILED' })
    expect(error.message).toContain('ssl=true')
  })

  test('kafka: a session that the broker does not allow is named', async () => {
    const own = client(broker())
    const name = await topic(own)
    const options = { group: `${name}.g`, topics: [name], ...nobody, sessionTimeoutMs: 500, events: silent }
    const error = await refusal(own.join(options, idle))
    expect(error).toMatchObject({ code: 'INVALID_OPTION', retryable: false })
    expect(error.message).toContain('sessionTimeoutMs')
  })

  test('kafka: a group whose members are other clients is not joined, and the way out is named', async () => {
    const own = client(broker())
    const name = await topic(own)
    const group = `${name}.g`
    const { host, port } = broker()
    const foreign = new kafkajs.Kafka({ brokers: [`${host}:${port}`], logLevel: kafkajs.logLevel.NOTHING }).consumer({
      groupId: group,
      maxWaitTimeInMs: 250,
    })
    onTestFinished(() => foreign.disconnect())
    await foreign.subscribe({ topics: [name] })
    const joined = new Promise((resolve) => foreign.on(foreign.events.GROUP_JOIN, resolve))
    await foreign.run({ eachMessage: () => Promise.resolve() })
    await joined
    const error = await refusal(own.join({ group, topics: [name], ...nobody, events: silent }, idle))
    expect(error).toMatchObject({ code: 'TOPOLOGY_CONFLICT', retryable: false })
    expect(error.message).toContain('groupId')
  })

  test('kafka: a topic that there is not, where none may be created', async () => {
    const at = bench(broker())
    const adapter = await at.connect({}, 'none')
    const [result] = await adapter.send(
      [{ handover: 0, message: wire(), to: { kind: 'channel', channel: 'nowhere' } }],
      idle,
    )
    expect(result?.ok === false && result.error).toMatchObject({
      code: 'TOPOLOGY_MISSING',
      retryable: false,
      sent: 'no',
      message: expect.stringContaining('Create it') as string,
    })
    expect(await refusal(subscribe(adapter, spec('nowhere')))).toMatchObject({
      code: 'TOPOLOGY_MISSING',
      retryable: false,
      message: expect.stringContaining('Create it') as string,
    })
  })

  test('kafka: of a batch the one message that is beyond the limit is refused alone, and its key’s later ones are held', async () => {
    const at = bench(broker())
    const adapter = await at.connect({
      channels: { small: { partitions: 1, config: { 'max.message.bytes': '2000' } } },
    })
    await create(adapter, spec('small', { keyed: true }))
    const big = Buffer.alloc(5000)
    const messages = [
      ...Array.from({ length: 30 }, (_, n) => wire({ id: `a-${n}`, key: `k-${n}` })),
      wire({ id: 'big', key: 'k-5', body: big }),
      wire({ id: 'behind', key: 'k-5' }),
      wire({ id: 'other', key: 'k-6' }),
    ]
    const results = await adapter.send(
      messages.map((message) => ({ handover: 0, message, to: { kind: 'channel', channel: 'small' } })),
      idle,
    )
    const failed = results.flatMap((result, n) => (result.ok ? [] : [[messages[n]?.id, result.error.code, result.error.sent]])) // prettier-ignore
    expect(failed).toEqual([
      ['big', 'MESSAGE_TOO_LARGE', 'no'],
      ['behind', 'NOT_ATTEMPTED', 'no'],
    ])
    const positions = results.flatMap((result) => (result.ok ? [result.value.position] : []))
    expect(positions).toEqual(positions.map((_, n) => `${at.namespace}.small/0/${n}`))
  })

  test.each([
    ['as brokers have it', undefined],
    ['of the channel', '5000'],
  ])('kafka: the largest message of the limit %s is taken', async (_, limit) => {
    const { connect } = bench(broker())
    const config = limit === undefined ? {} : { 'max.message.bytes': limit }
    const adapter = await connect({ channels: { large: { config } } })
    const large = spec('large', { keyed: true })
    await create(adapter, large)
    const { maxBytes } = adapter.capabilities(large)
    expect(maxBytes).toBe(limit === undefined ? 2 ** 20 : Number(limit))
    const one = wire({ key: 'k', headers: [['trace', 'abc']], body: Buffer.alloc(0) })
    const body = randomBytes((maxBytes ?? 0) - adapter.size(one))
    expect(adapter.size({ ...one, body })).toBe(maxBytes)
    await send(adapter, large, { ...one, body })
    const [delivery] = await (await subscribe(adapter, large)).take(1)
    expect(body.equals(delivery?.message.body ?? Buffer.alloc(0))).toBe(true)
  })

  test('kafka: a compacted topic takes no message without a key, and says so', async () => {
    const at = bench(broker())
    const adapter = await at.connect({
      channels: { latest: { partitions: 1, config: { 'cleanup.policy': 'compact' } } },
    })
    const latest = spec('latest')
    await create(adapter, latest)
    await send(adapter, latest, wire({ key: 'a' }))
    const error = await refusal(send(adapter, latest, wire({ key: undefined })))
    expect(error).toMatchObject({ code: 'BROKER_REFUSED', retryable: false, sent: 'no' })
    expect(error.message).toContain('keys')
  })
})

test('kafka: a host that does not exist is not tried again', async () => {
  const error = await refusal(client({ host: 'no-such-host.invalid', port: 9092 }).connect(idle))
  expect(error).toMatchObject({ code: 'CONNECTION_FAILED', retryable: false })
})

test('kafka: where nobody listens may be somebody later', async () => {
  const error = await refusal(client({ host: '127.0.0.1', port: 1 }).connect(idle))
  expect(error).toMatchObject({ code: 'CONNECTION_FAILED', retryable: true })
})

test('kafka: who takes connections and never answers is given up', async () => {
  const server = createServer(() => {}).unref()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const error = await refusal(client({ host: '127.0.0.1', port }, { commandTimeoutMs: 1000 }).connect(idle))
  expect(error).toMatchObject({ code: 'CONNECTION_FAILED', retryable: true })
  server.close()
})
