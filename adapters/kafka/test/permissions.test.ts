// A user with the rights that docs/brokers/kafka.md lists, and no others, on a port that asks for credentials.
import { describeBroker, kafkaUsers, type RunningBroker } from '@polybus/brokers'
import { PolybusError } from '@polybus/core'
import kafkajs, { type Admin } from 'kafkajs'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { KafkaAdapter } from '../src/index.ts'
import { bench, call, create, send, spec, subscribe, until, wire } from './support.ts'
import { acls } from './permissions.ts'

vi.setConfig({ testTimeout: 60_000 })

const { username, password } = kafkaUsers.guest

async function grant(admin: Admin, namespace: string, rights: Parameters<typeof acls>[2]): Promise<void> {
  const list = acls(username, `${namespace}.`, rights)
  await admin.createAcls({ acl: list })
  onTestFinished(async () => {
    const plain = new kafkajs.Kafka({ brokers: brokers, logLevel: kafkajs.logLevel.NOTHING }).admin()
    await plain.connect()
    await plain.deleteAcls({ filters: list })
    await plain.disconnect()
  })
}
let brokers: string[] = []
const connectAs = async (
  broker: RunningBroker,
  rights: Parameters<typeof acls>[2],
): Promise<{ adapter: KafkaAdapter; owner: KafkaAdapter }> => {
  const { connect, namespace, admin } = bench(broker)
  brokers = [`${broker.host}:${broker.port}`]
  await grant(await admin(), namespace, rights)
  const url = `kafka://${username}:${password}@${broker.host}:${broker.ports['sasl']}?sasl=scram-sha-256`
  const options = { commandTimeoutMs: 5000, acceptedHazards: [] }
  const adapter = await connect({ ...options, url }, rights === 'needed' ? 'verify' : 'create')
  return { adapter, owner: await connect(options) }
}

/** All that one does with a channel. */
async function work(adapter: KafkaAdapter): Promise<void> {
  const orders = spec('orders')
  await send(adapter, orders, [wire({ id: 'a' }), wire({ id: 'b' })])
  const member = await subscribe(adapter, orders)
  const [a, b] = await member.take(2, 15_000)
  const retry = { kind: 'group', channel: 'orders', group: 'work', delayMs: 1000 } as const
  const dead = { kind: 'dead-letter', channel: 'orders', group: 'work' } as const
  const moved = await member.settle(
    { token: a?.token, kind: 'move', to: retry, headers: [] },
    { token: b?.token, kind: 'move', to: dead, headers: [] },
  )
  for (const result of moved) if (!result.ok) throw result.error
  await member.ack(...(await member.take(1, 15_000)))
  await member.feed.close()
  const read = async (): Promise<unknown> => (await adapter.stats?.read(orders, 'work', call))?.backlog
  await until(async () => (await read()) === 0, 'a backlog of 0')
  const look = await adapter.browse?.open(orders, 'work', call)
  const letters = (await look?.next(10, call)) ?? []
  expect(letters).toHaveLength(1)
  const [taken] = (await look?.remove([letters[0]?.position ?? ''], call)) ?? []
  expect(taken?.ok).toBe(true)
  await look?.close()
  expect(await adapter.stats?.read(orders, 'work', call)).toMatchObject({ deadLetters: 0 })
  await adapter.rewind?.rewind(orders, 'work', { kind: 'beginning' }, call)
  await until(async () => (await read()) === 2, 'a backlog of 2')
}
const denied = async (work: Promise<unknown>): Promise<string> => {
  const error: unknown = await work.then(
    () => undefined,
    (each: unknown) => each,
  )
  return PolybusError.is(error) ? error.code : String(error)
}

await describeBroker(
  'kafka',
  (broker) => {
    test('kafka: who may create does everything; settings that one may not see are not compared', async () => {
      const { adapter } = await connectAs(broker(), 'create')
      await create(adapter, spec('orders'))
      await work(adapter)
      const hazards = await adapter.hazards?.(spec('orders'), call)
      expect(hazards?.map(({ kind }) => kind)).toEqual(['crash-guard', 'replication'])
    })

    test('kafka: who may see settings is told of them', async () => {
      const { adapter } = await connectAs(broker(), 'all')
      await create(adapter, spec('orders'))
      await work(adapter)
      expect(await adapter.hazards?.(spec('orders'), call)).toHaveLength(2)
    })

    test('kafka: who may not create works with topics of others', async () => {
      const { adapter, owner } = await connectAs(broker(), 'needed')
      await create(owner, spec('orders'))
      expect((await adapter.topology?.plan([spec('orders')], call))?.changes).toEqual([])
      await work(adapter)
    })

    test('kafka: what may not be done is denied soon, and not tried again', async () => {
      const { adapter, owner } = await connectAs(broker(), 'needed')
      await create(owner, spec('orders'))
      const begin = performance.now()
      const change = { kind: 'create-channel', name: 'more', text: '', channel: spec('more', { groups: [] }) }
      expect(await denied(adapter.topology?.apply([change], call) ?? Promise.resolve())).toBe('ACCESS_DENIED')
      expect(performance.now() - begin).toBeLessThan(10_000)
    })
  },
  { instance: 'tests' },
)
