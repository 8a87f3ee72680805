// The consumer as a Lambda function. What Lambda does is done here by its documentation: it receives, invokes, and deletes what
// is not among the failures. The queues are real.
import {
  DeleteMessageBatchCommand,
  DeleteQueueCommand,
  GetQueueUrlCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import { randomUUID } from 'node:crypto'
import { describeBroker, type RunningBroker } from '@polybus/brokers'
import {
  type Bus,
  channel,
  type Channel,
  consumer,
  type Consumer,
  createBus,
  exponential,
  fixed,
  NonRetryable,
  PolybusError,
  type Schema,
  systemClock,
  trust,
} from '@polybus/core'
import { expect, onTestFinished, test, vi } from 'vitest'
import { lambda, type LambdaHandler, type LambdaOptions, sqs } from '../src/index.ts'
import { createPausableClock } from '../src/lambda-clock.ts'
import { fromMessage } from '../src/mapping.ts'
import { namesOf } from '../src/names.ts'
import { recorded, json } from './recorded.ts'

vi.setConfig({ testTimeout: 60_000 })
const clock = systemClock()

interface Item {
  readonly n: number
  readonly key?: string
}
/** Refuses what is no item, as a schema does. */
const items: Schema<Item, Item> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) =>
      typeof (value as Partial<Item> | null)?.n === 'number'
        ? { value: value as Item }
        : { issues: [{ message: 'n is no number' }] },
  },
}

const attributeOf = ({
  DataType,
  StringValue,
  BinaryValue,
}: NonNullable<Message['MessageAttributes']>[string]): object => ({
  dataType: DataType,
  stringValue: StringValue,
  ...(BinaryValue && { binaryValue: Buffer.from(BinaryValue).toString('base64') }),
  stringListValues: [],
  binaryListValues: [],
})
/** https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event */
const recordOf = (message: Message, queue: string): object => ({
  messageId: message.MessageId,
  receiptHandle: message.ReceiptHandle,
  body: message.Body,
  attributes: message.Attributes,
  messageAttributes: Object.fromEntries(
    Object.entries(message.MessageAttributes ?? {}).map(([name, attribute]) => [name, attributeOf(attribute)]),
  ),
  md5OfBody: message.MD5OfBody,
  eventSource: 'aws:sqs',
  eventSourceARN: `arn:aws:sqs:eu-west-1:000000000000:${queue}`,
  awsRegion: 'eu-west-1',
})
const context = (ms = 30_000): { getRemainingTimeInMillis(): number } => {
  const endsAt = clock.now() + ms
  return { getRemainingTimeInMillis: () => Math.max(0, endsAt - clock.now()) }
}

/** A function and its event source. */
interface Source {
  readonly handler: LambdaHandler
  readonly bus: Bus
  send(body: string): Promise<string>
  receive(count?: number): Promise<readonly Message[]>
  invoke(messages: readonly Message[], ms?: number): Promise<readonly string[]>
  /** Receives, invokes and deletes, until so many messages came. */
  run(count: number, ms?: number): Promise<{ failures: readonly string[]; ids: readonly string[] }>
  dead(): Promise<readonly Message[]>
  /** Their queue is gone. */
  loseDeadLetters(): Promise<void>
}

async function source(
  broker: RunningBroker,
  of: Channel<Item, Item>,
  value: Consumer,
  options: LambdaOptions = {},
): Promise<Source> {
  const namespace = `l${randomUUID().slice(0, 8)}`
  const credentials = { accessKeyId: 'x', secretAccessKey: 'x' }
  const client = new SQSClient({ endpoint: broker.url.replace('sqs:', 'http:'), region: 'eu-west-1', credentials })
  const bus = await createBus(sqs(broker.url), { namespace, logger: false })
  const handler = lambda(value, { broker: broker.url, namespace, logger: false, ...options })
  onTestFinished(async () => {
    await handler.close()
    await bus.close()
    client.destroy()
  })
  await bus.stats(of, 'work')
  const keyed = of['~definition'].spec.keyed
  const names = namesOf(namespace, of.name, keyed)
  const urlOf = async (name: string): Promise<string> =>
    (await client.send(new GetQueueUrlCommand({ QueueName: name }))).QueueUrl ?? ''
  const queue = names.queue('work')
  const url = await urlOf(queue)
  const receiveFrom = async (from: string, count: number, wait: number): Promise<readonly Message[]> => {
    const { Messages = [] } = await client.send(
      new ReceiveMessageCommand({
        QueueUrl: from,
        MaxNumberOfMessages: count,
        WaitTimeSeconds: wait,
        VisibilityTimeout: 30,
        MessageAttributeNames: ['All'],
        MessageSystemAttributeNames: ['All'],
      }),
    )
    return Messages
  }
  const invoke: Source['invoke'] = async (messages, ms) => {
    const event = { Records: messages.map((message) => recordOf(message, queue)) }
    const { batchItemFailures } = await handler(event, context(ms))
    const failures = batchItemFailures.map(({ itemIdentifier }) => itemIdentifier)
    const done = messages.filter(({ MessageId = '' }) => !failures.includes(MessageId))
    if (done.length > 0)
      await client.send(
        new DeleteMessageBatchCommand({
          QueueUrl: url,
          Entries: done.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle })),
        }),
      )
    return failures
  }
  return {
    handler,
    bus,
    send: async (body) =>
      (await client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: body }))).MessageId ?? '',
    receive: (count = 10) => receiveFrom(url, count, 5),
    invoke,
    async run(count, ms) {
      const failures: string[] = []
      const ids: string[] = []
      while (ids.length < count) {
        const messages = await receiveFrom(url, Math.min(10, count - ids.length), 5)
        if (messages.length === 0) throw new Error(`only ${ids.length} of ${count} messages came`)
        ids.push(...messages.map(({ MessageId = '' }) => MessageId))
        failures.push(...(await invoke(messages, ms)))
      }
      return { failures, ids }
    },
    dead: async () => receiveFrom(await urlOf(names.dead('work')), 10, 0),
    async loseDeadLetters() {
      await client.send(new DeleteQueueCommand({ QueueUrl: await urlOf(names.dead('work')) }))
    },
  }
}

const plain = channel('orders', { schema: items, groups: ['work'] })
const keyed = channel('orders', { schema: items, key: ({ key }) => key, groups: ['work'] })
const publish = async (bus: Bus, to: Channel<Item, Item>, ...values: readonly Item[]): Promise<void> => {
  for (const value of values) await bus.publish(to, value)
}
const range = (count: number, key?: string): Item[] =>
  Array.from({ length: count }, (_, n) => (key === undefined ? { n } : { n, key }))
const sorted = <T>(list: readonly T[]): T[] => list.toSorted((a, b) => (String(a) < String(b) ? -1 : 1))
const reasonOf = (message: Message): unknown => new Map(fromMessage(message).headers).get('polybus-reason')

await describeBroker('sqs', (broker) => {
  test('sqs lambda: what the handler did is deleted by Lambda, nothing comes twice, connections are kept', async () => {
    const seen: number[] = []
    const at = await source(
      broker(),
      plain,
      consumer(plain, 'work', ({ n }) => void seen.push(n)),
    )
    await publish(at.bus, plain, ...range(12))
    expect((await at.run(12)).failures).toEqual([])
    expect(seen.toSorted((a, b) => a - b)).toEqual(range(12).map(({ n }) => n))
    expect((await at.bus.stats(plain, 'work')).backlog).toBe(0)
  })

  test('sqs lambda: a bad message goes to the dead letters with its reason, and its neighbours flow', async () => {
    const seen: number[] = []
    const at = await source(
      broker(),
      plain,
      consumer(plain, 'work', ({ n }) => {
        if (n === 1) throw new NonRetryable('boom')
        seen.push(n)
      }),
    )
    await publish(at.bus, plain, { n: 0 }, { n: 1 }, { n: 2 })
    await at.send('no JSON')
    await at.send('{"n":"text"}')
    expect((await at.run(5)).failures).toEqual([])
    expect(sorted(seen)).toEqual([0, 2])
    const dead = await at.dead()
    expect(sorted(dead.map(({ Body }) => Body))).toEqual(['no JSON', '{"n":"text"}', '{"n":1}'])
    expect(sorted(dead.map(reasonOf))).toEqual(['invalid', 'non-retryable', 'undecodable'])
  })

  test('sqs lambda: retries without a key go back to the queue with their count, and end in the dead letters', async () => {
    const attempts: number[] = []
    const at = await source(
      broker(),
      plain,
      consumer(plain, 'work', {
        retry: { attempts: 3, backoff: fixed('1s') },
        handler(_, { attempt }) {
          attempts.push(attempt)
          throw new Error('not yet')
        },
      }),
    )
    await publish(at.bus, plain, { n: 7 })
    const start = clock.now()
    expect((await at.run(3)).failures).toEqual([])
    expect(attempts).toEqual([1, 2, 3])
    expect(clock.now() - start).toBeGreaterThanOrEqual(1900)
    const [letter] = await at.dead()
    expect(letter && reasonOf(letter)).toBe('attempts-exhausted')
  })

  test('sqs lambda: with a key retries wait in the function, in order, and other keys go on', async () => {
    const seen: string[] = []
    const at = await source(
      broker(),
      keyed,
      consumer(keyed, 'work', {
        retry: { attempts: 3, backoff: fixed('100ms') },
        handler({ n, key }, { attempt }) {
          if (key === 'a' && n === 0 && attempt < 3) throw new Error('not yet')
          seen.push(`${key}${n}`)
        },
      }),
    )
    await publish(at.bus, keyed, ...range(3, 'a'), ...range(2, 'b'))
    expect((await at.run(5)).failures).toEqual([])
    expect(seen.filter((one) => one.startsWith('a'))).toEqual(['a0', 'a1', 'a2'])
    expect(seen.filter((one) => one.startsWith('b'))).toEqual(['b0', 'b1'])
    expect(seen.indexOf('b1')).toBeLessThan(seen.indexOf('a0'))
  })

  test('sqs lambda: a wait that cannot end in time is given back at once, with all behind it', async () => {
    const seen: string[] = []
    const at = await source(
      broker(),
      keyed,
      consumer(keyed, 'work', {
        retry: { attempts: 3, backoff: exponential({ initial: '1m', max: '1m' }) },
        handler({ n, key }) {
          seen.push(`${key}${n}`)
          if (key === 'a' && n === 1) throw new Error('not yet')
        },
      }),
    )
    await publish(at.bus, keyed, ...range(4, 'a'), ...range(2, 'b'))
    const start = clock.now()
    const { failures } = await at.run(6, 30_000)
    expect(clock.now() - start, 'long before the time-out').toBeLessThan(10_000)
    expect(sorted(seen)).toEqual(['a0', 'a1', 'b0', 'b1'])
    expect(failures).toHaveLength(3)
  })

  test('sqs lambda: a handler that the time-out overtakes is told, and its message is a failure', async () => {
    let told = false
    const at = await source(
      broker(),
      keyed,
      consumer(keyed, 'work', async ({ n }, { signal }) => {
        if (n === 0) return
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
        told = true
      }),
    )
    await publish(at.bus, keyed, ...range(3, 'a'))
    const start = clock.now()
    const { failures, ids } = await at.run(3, 2500)
    expect(clock.now() - start).toBeLessThan(15_000)
    expect(failures).toEqual(ids.slice(1))
    expect(told).toBe(true)
  })

  test('sqs lambda: where too little time is left nothing starts', async () => {
    const seen: number[] = []
    const at = await source(
      broker(),
      plain,
      consumer(plain, 'work', ({ n }) => void seen.push(n)),
    )
    await publish(at.bus, plain, { n: 0 })
    const messages = await at.receive()
    expect(await at.invoke([])).toEqual([])
    expect(await at.invoke(messages, 0)).toEqual(messages.map(({ MessageId }) => MessageId))
    expect(seen).toEqual([])
    expect(await at.invoke(messages)).toEqual([])
    expect(seen).toEqual([0])
  })

  test('sqs lambda: a dead letter that cannot be written is a failure soon, not at the time-out', async () => {
    const at = await source(
      broker(),
      plain,
      consumer(plain, 'work', () => {
        throw new NonRetryable('boom')
      }),
    )
    await publish(at.bus, plain, { n: 0 })
    const messages = await at.receive()
    await at.loseDeadLetters()
    const start = clock.now()
    expect(await at.invoke(messages, 60_000)).toEqual(messages.map(({ MessageId }) => MessageId))
    expect(clock.now() - start).toBeLessThan(15_000)
  })

  test('sqs lambda: what comes for the third time is deleted at once, for its neighbour may kill the process', async () => {
    let left: number | null | undefined
    const at = await source(
      broker(),
      plain,
      consumer(plain, 'work', {
        concurrency: 1,
        async handler({ n }) {
          if (n === 0) return
          await vi.waitUntil(async () => (left = (await at.bus.stats(plain, 'work')).inFlight) === 1, 5000)
        },
      }),
    )
    await publish(at.bus, plain, { n: 0 }, { n: 1 })
    let messages: Message[] = []
    while (messages.length < 2) messages.push(...(await at.receive()))
    messages = messages.toSorted((a, b) => ((a.Body ?? '') < (b.Body ?? '') ? -1 : 1))
    for (const { Attributes = {} } of messages) Attributes.ApproximateReceiveCount = '3'
    expect(await at.invoke(messages)).toEqual([])
    expect(left).toBe(1)
  })

  test('sqs lambda: handlers publish, and middleware and events see what they see on a bus', async () => {
    const results = channel('results', { schema: trust<{ of: number }>(), groups: ['audit'] })
    const trail: string[] = []
    const at = await source(
      broker(),
      plain,
      consumer(plain, 'work', async ({ n }, ctx) => void (await ctx.publish(results, { of: n }))),
      {
        topology: 'create',
        use: [
          async (ctx, next) => {
            trail.push(`before ${ctx.attempt}`)
            await next()
            trail.push('after')
          },
        ],
      },
    )
    await publish(at.bus, plain, { n: 5 })
    expect((await at.run(1)).failures).toEqual([])
    expect(trail).toEqual(['before 1', 'after'])
    expect((await at.bus.stats(results, 'audit')).backlog).toBe(1)
  })

  test('sqs lambda: an event of another queue, or of none, is refused as a whole', async () => {
    const at = await source(
      broker(),
      plain,
      consumer(plain, 'work', () => {}),
    )
    const record = recordOf({ MessageId: 'm', Body: '{"n":1}' }, 'someone-elses')
    await expect(at.handler({ Records: [record] }, context())).rejects.toMatchObject({
      code: 'TOPOLOGY_CONFLICT',
      message: expect.stringContaining("'someone-elses'") as string,
    })
    for (const event of [{}, undefined, { Records: [{ Sns: {} }] }, { Records: [null] }])
      await expect(at.handler(event as never, context())).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })

  test('sqs lambda: at most once is refused, for Lambda deletes only afterwards', async () => {
    const at = await source(broker(), plain, consumer(plain, 'work', { delivery: 'at-most-once', handler: () => {} }))
    await expect(at.handler({ Records: [] }, context())).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })
})

test('sqs lambda: wrong options are told where they stand', () => {
  const value = consumer(plain, 'work', () => {})
  const refusal = (options: unknown): unknown => {
    try {
      return lambda(value, options as LambdaOptions)
    } catch (error) {
      return PolybusError.is(error, 'INVALID_OPTION') && error.message
    }
  }
  expect(refusal({ reserveMs: 0 })).toMatch(/lambda\(\)\.reserveMs/)
  expect(refusal({ broker: 'amqp://h' })).toMatch(/sqs\(\)\.url/)
  expect(refusal({ broker: { visibility: 1 } })).toMatch(/sqs\(\)\.visibility/)
})

test('sqs lambda: a function that cannot connect fails in time, and the next event tries again', async () => {
  const server = await recorded({ '*': json(400, { __type: 'com.amazonaws.sqs#RequestThrottled', message: 'no' }) })
  onTestFinished(() => server.close())
  const handler = lambda(
    consumer(plain, 'work', () => {}),
    {
      broker: server.url.replace('http:', 'sqs:'),
      logger: false,
    },
  )
  const start = clock.now()
  await expect(handler({ Records: [] }, context(5000))).rejects.toMatchObject({ code: 'CONNECT_TIMEOUT' })
  expect(clock.now() - start).toBeLessThan(5000)
})

test('sqs lambda: time stands still between invocations', () => {
  let now = 1000
  const due: { at: number; run: () => void }[] = []
  const base = {
    ...systemClock(),
    now: () => now,
    timer: (ms: number, run: () => void) => {
      const entry = { at: now + ms, run }
      due.push(entry)
      return { cancel: () => void due.splice(due.indexOf(entry) >>> 0, 1) }
    },
  }
  const pass = (ms: number): void => {
    now += ms
    for (const entry of due.filter(({ at }) => at <= now)) {
      due.splice(due.indexOf(entry), 1)
      entry.run()
    }
  }
  const pausable = createPausableClock(base)
  let fired = 0
  pausable.timer(100, () => fired++)
  pass(10_000)
  expect([fired, pausable.now(), due.length]).toEqual([0, 1000, 0])
  pausable.resume()
  pausable.resume()
  pass(60)
  expect([fired, pausable.now()]).toEqual([0, 1060])
  pausable.pause()
  pass(20)
  pausable.pause()
  pass(3_600_000)
  expect([fired, pausable.now(), due.length]).toEqual([0, 1080, 0])
  pausable.resume()
  pass(20)
  expect([fired, pausable.now()]).toEqual([1, 1100])
})
