// The conformance suite's way to a real Kafka: a server of its own, and a fault proxy for each namespace.
import { kafkaServer, kafkaUsers, type RunningBroker, startBroker } from '@polybus/brokers'
import { type Call, sleep, systemClock, type WireMessage } from '@polybus/core'
import { type Faults, type Foreign, type Harness, namespaceProxies, type Timing } from '@polybus/testkit'
import kafkajs, { type Admin, type Kafka } from 'kafkajs'
import { connectionFailed } from '../src/errors.ts'
import { kafka, type KafkaAdapter } from '../src/index.ts'
import { openClient } from '../src/open-client.ts'
import { type Layout, layoutOf } from '../src/layout.ts'
import { fromNative } from '../src/mapping.ts'
import { checkOptions, type KafkaOptions } from '../src/options.ts'
import { type Library, via } from './library.ts'

const broker = (): Promise<RunningBroker> => startBroker(kafkaServer(), { instance: 'conformance' })
/** Of all that is sent only records of ours hold this name. */
const proxies = namespaceProxies(broker, { isSend: (bytes) => bytes.includes('ce_specversion') })
const clock = systemClock()
const call = { signal: new AbortController().signal }

/** Short, so that a dead member is noticed within a case. */
const SESSION_MS = 3000
const timing: Partial<Timing> = { leaseMs: SESSION_MS }
let ports: Readonly<Record<string, number>> = {}

async function prepare(namespace: string): Promise<void> {
  await proxies.prepare(namespace)
  ports = (await broker()).ports
}

const OPTIONS: KafkaOptions = {
  sessionTimeoutMs: SESSION_MS,
  heartbeatMs: 300,
  commitMs: 200,
  commandTimeoutMs: 2000,
  // Cases that need more say so; a group has five topics of so many.
  partitions: 4,
  acceptedHazards: ['replication', 'min-insync-replicas', 'retention', 'offsets-retention', 'crash-guard'],
}
/** Brokers are found by the address that they tell: here all of them lead through the proxy. */
const openOver = (library: Library, namespace: string): KafkaAdapter =>
  refusable(
    namespace,
    proxies.open(namespace, ({ host, port }) =>
      kafka({ ...OPTIONS, client: via({ brokers: [`${host}:${port}`], to: { host, port } }, library) }),
    ),
  )

type When = Parameters<NonNullable<Faults['refuse']>>[0]
const refusals = new Map<string, Set<When>>()
/** What the broker itself refuses of a batch is a record that is too large: one stands in the place of the picked one. */
function refusable(namespace: string, adapter: KafkaAdapter): KafkaAdapter {
  const send: KafkaAdapter['send'] = async (batch, by) => {
    const errors = batch.map((one) =>
      [...(refusals.get(namespace) ?? [])].map((when) => when(one)).find((error) => error),
    )
    const sent = batch.map((one, index) =>
      errors[index] ? { ...one, message: { ...one.message, body: TOO_LARGE } } : one,
    )
    const results = await untilCut(namespace, by, (call) => adapter.send(sent, call))
    return results.map((result, index) => {
      const error = errors[index]
      if (!result.ok && result.error.code === 'ABORTED' && !by.signal.aborted)
        return { ok: false, error: connectionFailed('the answer was cut off', result.error.sent) }
      return error && !result.ok && result.error.code === 'MESSAGE_TOO_LARGE' ? { ok: false, error } : result
    })
  }
  return Object.create(adapter, { send: { value: send } }) as KafkaAdapter
}
/** The adapter would send again by itself what the broker knows by its number: here a send ends when its answer is cut off. */
async function untilCut<T>(namespace: string, by: Call, send: (by: Call) => Promise<T>): Promise<T> {
  const proxy = proxies.of(namespace)
  const before = proxy.answersCut
  const cut = new AbortController()
  let over = false
  const watch = async (): Promise<void> => {
    for (; !over && losing.has(namespace); await sleep(clock, 5)) if (proxy.answersCut > before) cut.abort()
  }
  void watch()
  try {
    return await send({ signal: AbortSignal.any([by.signal, cut.signal]) })
  } finally {
    over = true
  }
}
const losing = new Set<string>()
const TOO_LARGE = Buffer.alloc(2 * 2 ** 20)

/** Past the proxy, as another program would be connected. */
async function plain(): Promise<Kafka> {
  const { host, port } = await broker()
  return new kafkajs.Kafka({ brokers: [`${host}:${port}`], logLevel: kafkajs.logLevel.NOTHING })
}
async function aside<T>(use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = (await plain()).admin()
  try {
    await admin.connect()
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}
const settings = checkOptions(OPTIONS)
const layout = (namespace: string, channel: string): Layout =>
  layoutOf(settings, namespace, { name: channel, keyed: false, partitions: undefined, groups: [], maxBytes: 2 ** 18 })

async function remove(admin: Admin, prefix: string): Promise<void> {
  const topics = (await admin.listTopics()).filter((topic) => topic.startsWith(prefix) && !topic.startsWith('__'))
  if (topics.length > 0) await admin.deleteTopics({ topics })
}

const faults = (namespace: string): Faults => ({
  ...proxies.faults(namespace),
  // A case that takes nothing for "not yet" would call it twice.
  down: async () => proxies.of(namespace).down(),
  kill: async () => (await broker()).kill(),
  restart: async () => (await broker()).start(),
  wipe: () => aside((admin) => remove(admin, '')),
  // Nothing is so small. (A min.insync.replicas above the number of replicas refuses nothing.)
  blockWrites: ({ kind, channel, group }) =>
    aside(async (admin) => {
      const lies = layout(namespace, channel)
      const topics = kind === 'dead-letter' ? [lies.dead(group)] : [...lies.rungs(group)]
      const before = await configOf(admin, topics)
      await configure(
        admin,
        topics.map((topic) => ({ topic, config: { ...before.get(topic), 'max.message.bytes': '1' } })),
      )
      return () => aside((again) => configure(again, topics.map((topic) => ({ topic, config: before.get(topic) ?? {} })))) // prettier-ignore
    }),
  loseAnswer(times) {
    losing.add(namespace)
    proxies.of(namespace).cutAnswers(times)
  },
  refuse(when) {
    let all = refusals.get(namespace)
    if (!all) refusals.set(namespace, (all = new Set()))
    all.add(when)
    return () => void all.delete(when)
  },
  deleteChannel: (channel) => aside((admin) => remove(admin, `${namespace}.${channel}`)),
})

const TOPIC = kafkajs.ConfigResourceTypes.TOPIC
async function configOf(admin: Admin, topics: readonly string[]): Promise<Map<string, Record<string, string>>> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: topics.map((topic) => ({ type: TOPIC, name: topic })),
  })
  // 1: set on the topic itself.
  const own = ({ configSource }: { configSource: number }): boolean => configSource === 1
  return new Map(
    resources.map(({ resourceName, configEntries }) => [
      resourceName,
      Object.fromEntries(configEntries.filter(own).map(({ configName, configValue }) => [configName, configValue])),
    ]),
  )
}
/** What is not named is unset. Resolves when the broker goes by it: it hears of it from the controller. */
async function configure(
  admin: Admin,
  topics: readonly { readonly topic: string; readonly config: Record<string, string> }[],
): Promise<void> {
  await admin.alterConfigs({
    validateOnly: false,
    resources: topics.map(({ topic, config }) => ({
      type: TOPIC,
      name: topic,
      configEntries: Object.entries(config).map(([key, value]) => ({ name: key, value })),
    })),
  })
  const names = topics.map(({ topic }) => topic)
  const wanted = JSON.stringify(topics.map(({ config }) => sorted(config)))
  for (;;) {
    const has = await configOf(admin, names)
    if (JSON.stringify(names.map((topic) => sorted(has.get(topic) ?? {}))) === wanted) break
    await sleep(clock, 20)
  }
  // Its logs are told behind what it answers by.
  await configOf(admin, names)
}
const sorted = (config: Record<string, string>): [string, string][] =>
  Object.entries(config).toSorted(([a], [b]) => (a < b ? -1 : 1))

const foreign = (namespace: string): Foreign => ({
  async send(channel, { body, headers = [], key, contentType }) {
    const producer = (await plain()).producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
    try {
      await producer.connect()
      const table: Record<string, (string | Buffer)[]> = {}
      for (const [header, value] of headers)
        (table[header] ??= []).push(typeof value === 'string' ? value : Buffer.from(value))
      if (contentType !== undefined) table['content-type'] = [contentType]
      await producer.send({
        topic: layout(namespace, channel).topic,
        messages: [{ key: key ?? null, value: body && Buffer.from(body), headers: table }],
      })
    } finally {
      await producer.disconnect()
    }
  },
  async deadLetters(channel, group): Promise<readonly WireMessage[]> {
    const { host, port } = await broker()
    const client = openClient(checkOptions({ client: { brokers: [`${host}:${port}`] } }), clock, 'foreign')
    const lies = layout(namespace, channel)
    try {
      await client.connect(call)
      const [range] = await client.admin.offsets(lies.dead(group), call)
      const { records } = await client.read({ topic: lies.dead(group), partition: 0, offset: range?.begin ?? 0n }, 1000, call) // prettier-ignore
      return records.map((record) => fromNative(record, lies))
    } finally {
      await client.close()
    }
  },
  consumers: (channel, group) =>
    aside(async (admin) => {
      const { groups } = await admin.describeGroups([layout(namespace, channel).group(group)])
      return groups[0]?.members.length ?? 0
    }),
})

const refusingOver = (library: Library): ReturnType<NonNullable<Harness['refusing']>> => {
  const { admin } = kafkaUsers
  const secret = 'wrong-s3cret'
  const as = (username: string, mechanism: string, host = `127.0.0.1:${ports['sasl']}`) => ({
    open: () => kafka({ ...OPTIONS, client: library, url: `kafka://${username}:${secret}@${host}?sasl=${mechanism}` }),
    secret,
  })
  return {
    'an unknown host': as(admin.username, 'plain', 'kafka.invalid:9092'),
    // Redpanda is started without logins.
    ...(ports['sasl'] !== undefined && {
      'a wrong password (PLAIN)': as(admin.username, 'plain'),
      'a wrong password (SCRAM)': as(admin.username, 'scram-sha-256'),
      'an unknown user': as('nobody', 'scram-sha-512'),
    }),
  }
}

async function cleanup(namespace: string): Promise<void> {
  await proxies.close(namespace)
  refusals.delete(namespace)
  losing.delete(namespace)
  await aside(async (admin) => {
    await remove(admin, `${namespace}.`)
    const { groups } = await admin.listGroups()
    const ours = groups.map(({ groupId }) => groupId).filter((id) => id.startsWith(`${namespace}.`))
    // A member that was killed may still be counted until its session ends.
    if (ours.length > 0) await admin.deleteGroups(ours).catch(() => {})
  })
}

/** Of the adapter over one of its client libraries. */
export const harnessOver = (library: Library): Harness => ({
  name: 'kafka',
  feedsOutliveCuts: true,
  parallel: 4,
  timing,
  prepare,
  open: (namespace) => openOver(library, namespace),
  faults,
  foreign,
  refusing: () => refusingOver(library),
  about: () => ({ client: library, server: kafkaServer() }),
  cleanup,
})
