// The conformance suite's way to a real Redis: a server of its own, and a fault proxy for each namespace.
import { type RunningBroker, startBroker } from '@polybus/brokers'
import type { WireMessage } from '@polybus/core'
import { type Faults, type Foreign, type Harness, namespaceProxies, type Timing } from '@polybus/testkit'
import { Redis } from 'ioredis'
import { redis, type RedisAdapter } from '../src/index.ts'
import { pack } from '../src/fields.ts'
import { fromFields } from '../src/mapping.ts'
import { keysOf, RELEASED } from '../src/names.ts'
import { MAX_HEADERS } from '../src/send.ts'
import { PERMISSIONS } from './permissions.ts'

const broker = (): Promise<RunningBroker> => startBroker('redis', { instance: 'conformance' })
const proxies = namespaceProxies(broker, { isSend: (bytes) => bytes.includes('xadd') || bytes.includes('XADD') })

export const name = 'redis'
export const parallel = 4
/** Short leases, so that a dead holder is noticed within a case. */
const LEASE_MS = 2000
export const timing: Partial<Timing> = { leaseMs: LEASE_MS }
let address: string | undefined
/** Their users have what docs/brokers/redis.md says is needed, and nothing more. */
const namespaces = new Set<string>()
const PASSWORD = 'right-s3cret'
export async function prepare(namespace: string): Promise<void> {
  await proxies.prepare(namespace)
  namespaces.add(namespace)
  const { host, port } = await broker()
  address = `${host}:${port}`
  await aside((client) => admit(client, [namespace]))
}
/** Users live in the server's memory: they are gone when it was killed. */
async function admit(client: Redis, some: Iterable<string>): Promise<void> {
  const set = (user: string, ...rules: readonly string[]): Promise<unknown> =>
    client.call('ACL', 'SETUSER', user, 'reset', 'on', `>${PASSWORD}`, ...rules)
  await set('clerk', '~*', '+@all')
  await set('guest', '~*', '+ping', '+info')
  for (const namespace of some) await set(namespace, `~${namespace}:*`, `~{${namespace}:*`, ...PERMISSIONS)
}
export const open = (namespace: string): RedisAdapter =>
  refusable(
    namespace,
    proxies.open(namespace, ({ host, port }) =>
      redis({
        url: `redis://${namespace}:${PASSWORD}@${host}:${port}`,
        leaseMs: LEASE_MS,
        laneLeaseMs: LEASE_MS,
        commandTimeoutMs: 2000,
        acceptedHazards: ['fsync', 'replication', 'eviction', 'persistence'],
      }),
    ),
  )

type When = Parameters<NonNullable<Faults['refuse']>>[0]
const refusals = new Map<string, Set<When>>()
/** Redis refuses no single message, so the driver does: one that has too many headers, in the place of the picked one. */
function refusable(namespace: string, adapter: RedisAdapter): RedisAdapter {
  const send: RedisAdapter['send'] = async (batch, call) => {
    const errors = batch.map((one) =>
      [...(refusals.get(namespace) ?? [])].map((when) => when(one)).find((error) => error),
    )
    const results = await adapter.send(
      batch.map((one, index) => (errors[index] ? { ...one, message: { ...one.message, headers: TOO_MANY } } : one)),
      call,
    )
    return results.map((result, index) => {
      const error = errors[index]
      return error && !result.ok && result.error.code === 'BROKER_REFUSED' ? { ok: false, error } : result
    })
  }
  return Object.create(adapter, { send: { value: send } }) as RedisAdapter
}
const TOO_MANY = Array.from({ length: MAX_HEADERS + 1 }, () => ['x', ''] as const)

/** Past the proxy, as another program would be connected. */
async function aside<T>(use: (client: Redis) => Promise<T>): Promise<T> {
  const { host, port } = await broker()
  const client = new Redis({ host, port, lazyConnect: true })
  try {
    await client.connect()
    return await use(client)
  } finally {
    client.disconnect()
  }
}
const keysBy = (client: Redis, pattern: string): Promise<string[]> => client.keys(pattern)
/** Of a channel, whether it has keys or not: both forms of its streams. */
const streamsOf = async (client: Redis, namespace: string, channel: string): Promise<string[]> => {
  const plain = `${namespace}:${channel}`
  const keyed = await keysBy(client, `{${plain}}:[0-9]*`)
  return (await client.exists(plain)) === 1 ? [plain, ...keyed] : keyed
}

/** A stream that has used up its ids can be read and not written. */
async function exhaust(client: Redis, stream: string): Promise<() => Promise<void>> {
  const had = (await client.copy(stream, `${stream}:aside`)) === 1
  const id = `${2n ** 64n - 1n}-${2n ** 64n - 1n}`
  await client.xadd(stream, id, 'in', 'the way')
  await client.xdel(stream, id)
  return () => aside(async (again) => void (await (had ? again.rename(`${stream}:aside`, stream) : again.del(stream))))
}

export const faults = (namespace: string): Faults => ({
  ...proxies.faults(namespace),
  kill: async () => (await broker()).kill(),
  async restart() {
    await (await broker()).start()
    await aside((client) => admit(client, namespaces))
  },
  wipe: () => aside(async (client) => void (await client.flushall())),
  blockWrites: ({ kind, channel, group }) =>
    aside(async (client) => {
      const { meta, dead, retry } = keysOf(namespace, channel, false)
      if (kind === 'dead-letter') return exhaust(client, dead(group))
      // What waits for its time is numbered; what does not is written to a stream.
      const count = await client.hget(meta, 'seq')
      await client.hset(meta, 'seq', 'not a number')
      const undo = await exhaust(client, retry(group, 0))
      return async () => {
        await undo()
        await aside((again) => again.hset(meta, 'seq', count ?? '0'))
      }
    }),
  refuse(when) {
    let all = refusals.get(namespace)
    if (!all) refusals.set(namespace, (all = new Set()))
    all.add(when)
    return () => void all.delete(when)
  },
  // Nobody's, as if nobody had renewed them for an hour.
  loseLease: () =>
    aside(async (client) => {
      let count = 0
      for (const key of [...(await keysBy(client, `{${namespace}:*`)), ...(await keysBy(client, `${namespace}:*`))]) {
        if ((await client.type(key)) !== 'stream') continue
        for (const group of (await client.xinfo('GROUPS', key)) as unknown[][]) {
          const name = String(group[group.indexOf('name') + 1])
          for (const [id] of (await client.xpending(key, name, '-', '+', 1000)) as [string][]) {
            await client.xclaim(key, name, RELEASED, 0, id, 'IDLE', 3_600_000, 'JUSTID')
            count++
          }
        }
      }
      return count
    }),
  deleteGroup: (channel, group) =>
    aside(async (client) => {
      for (const key of [
        ...(await streamsOf(client, namespace, channel)),
        ...(await keysBy(client, `{${namespace}:${channel}}:${group}:retry:*`)),
      ])
        await client.xgroup('DESTROY', key, group)
    }),
  deleteChannel: (channel) =>
    aside(async (client) => {
      const keys = [
        ...(await keysBy(client, `{${namespace}:${channel}}:*`)),
        ...(await keysBy(client, `${namespace}:${channel}`)),
      ]
      if (keys.length > 0) await client.del(...keys)
    }),
})

export const foreign = (namespace: string): Foreign => ({
  send: (channel, { body, headers = [], key, contentType }) =>
    aside(async (client) => {
      const [stream] = await streamsOf(client, namespace, channel)
      const fields: (string | Buffer)[] = body === null ? [] : ['data', Buffer.from(body)]
      if (key !== undefined) fields.push('ce_partitionkey', key)
      if (contentType !== undefined) fields.push('content-type', contentType)
      for (const [header, value] of headers) fields.push(header, typeof value === 'string' ? value : Buffer.from(value))
      await client.xadd(stream ?? `${namespace}:${channel}`, '*', ...fields)
    }),
  deadLetters: (channel, group) =>
    aside(async (client): Promise<readonly WireMessage[]> => {
      const entries = await client.xrangeBuffer(keysOf(namespace, channel, false).dead(group), '-', '+')
      return entries.map(([id, fields]) => fromFields(pack(fields), channel, String(id)))
    }),
  consumers: (channel, group) =>
    aside(async (client) => {
      const [stream = ''] = await streamsOf(client, namespace, channel)
      const all = (await client.xinfo('CONSUMERS', stream, group)) as unknown[][]
      return all.filter((one) => one[one.indexOf('name') + 1] !== RELEASED).length
    }),
})

export const refusing = (): ReturnType<NonNullable<Harness['refusing']>> => {
  const as = (userinfo: string, secret: string, at = address) => ({
    open: () => redis(`redis://${userinfo}:${secret}@${at}`),
    secret,
  })
  return {
    'a wrong password': as('clerk', 'wrong-s3cret'),
    'an unknown user': as('nobody', 'wrong-s3cret'),
    'a user without rights': as('guest', PASSWORD),
    'an unknown host': as('clerk', 'wrong-s3cret', 'redis.invalid:6379'),
  }
}

export const about = (): Promise<Record<string, string>> =>
  aside(async (client) => ({ redis: /redis_version:(\S+)/.exec(await client.info('server'))?.[1] ?? 'unknown' }))

export async function cleanup(namespace: string): Promise<void> {
  await proxies.close(namespace)
  await aside(async (client) => {
    const keys = [...(await keysBy(client, `{${namespace}:*`)), ...(await keysBy(client, `${namespace}:*`))]
    if (keys.length > 0) await client.del(...keys)
    await client.call('ACL', 'DELUSER', namespace)
    namespaces.delete(namespace)
    refusals.delete(namespace)
  })
}
