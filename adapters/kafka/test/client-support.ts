// What the tests of the client below the adapter share.
import { randomUUID } from 'node:crypto'
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net'
import type { RunningBroker } from '@polybus/brokers'
import { systemClock } from '@polybus/core'
import { type FaultProxy, faultProxy } from '@polybus/testkit'
import kafkajs, { type Kafka } from 'kafkajs'
import { onTestFinished } from 'vitest'
import type { Assignment, Client, JoinOptions, Member, MemberEvents, NewRecord, Records } from '../src/client.ts'
import { openClient } from '../src/open-client.ts'
import { checkOptions, type KafkaOptions } from '../src/options.ts'
import { type Library, library, type Via, via } from './library.ts'

export const clock = systemClock()
export const call = { signal: new AbortController().signal }

/** kafkajs beside each of our clients, with the same login. */
const beside = new WeakMap<Client, Kafka>()

export interface Given extends Omit<KafkaOptions, 'client'> {
  readonly client?: Via
}

export function client(
  { host, port }: { host: string; port: number },
  options: Given = {},
  by: Library = library(),
): Client {
  const settings = checkOptions({
    url: `kafka://${host}:${port}`,
    commandTimeoutMs: 3000,
    ...options,
    client: via(options.client, by),
  })
  const made = openClient(settings, clock, 'test')
  const { sasl } = options.client ?? {}
  const brokers = [`${host}:${port}`]
  beside.set(made, new kafkajs.Kafka({ brokers, logLevel: kafkajs.logLevel.NOTHING, ...(sasl && { sasl }) }))
  onTestFinished(() => made.close())
  return made
}

export async function topic(of: Client, partitions = 1, config: Record<string, string> = {}): Promise<string> {
  const name = `t-${randomUUID().slice(0, 12)}`
  await of.admin.createTopics([{ topic: name, partitions, replicationFactor: undefined, config }], call)
  onTestFinished(async () => {
    const admin = (beside.get(of) as Kafka).admin()
    await admin.connect()
    await admin.deleteTopics({ topics: [name] })
    await admin.disconnect()
  })
  return name
}

export const record = (value: string | Buffer, more: Partial<NewRecord> = {}): NewRecord => ({
  key: null,
  value: Buffer.from(value),
  headers: [],
  ...more,
})

/** Brokers are found by the address that they tell: here it leads through the proxy. */
export async function behind(
  broker: RunningBroker,
  isSend: (bytes: Buffer) => boolean = () => true,
): Promise<{ readonly proxy: FaultProxy; readonly to: { readonly host: string; readonly port: number } }> {
  const proxy = await faultProxy(broker, { isSend })
  onTestFinished(() => proxy.close())
  const { host, port } = proxy
  return { proxy, to: { host, port } }
}

/** A port that leads to a broker, and tells what goes over it on both ways. */
export async function overheard(
  { host, port }: RunningBroker,
  onBytes: (bytes: Buffer) => void,
): Promise<{ readonly host: string; readonly port: number }> {
  const sockets = new Set<Socket>()
  const server = createServer((from) => {
    const to = connectTcp({ host, port })
    for (const socket of [from, to]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('data', onBytes)
    }
    from.pipe(to).pipe(from)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
}

/** Everything that is in a topic, as text. */
export async function valuesOf(of: Client, name: string): Promise<string[]> {
  const values: string[] = []
  for (const { partition, begin, end } of await of.admin.offsets(name, call))
    for (let offset = begin; offset < end;) {
      const { records, lastOffset } = await of.read({ topic: name, partition, offset }, 1000, call)
      values.push(...records.map(({ value }) => Buffer.from(value ?? '').toString()))
      offset = lastOffset + 1n
    }
  return values
}

export const SESSION_MS = 2000

/** A member, and what it was told. */
export interface Watched {
  readonly member: Member
  readonly told: string[]
  readonly values: string[]
  readonly assignments: Assignment[]
  readonly batches: Records[]
}

export async function join(
  own: Client,
  name: string,
  more: Partial<MemberEvents> = {},
  options: Partial<JoinOptions> = {},
): Promise<Watched> {
  const told: string[] = []
  const values: string[] = []
  const assignments: Assignment[] = []
  const batches: Records[] = []
  const next = new Map<number, bigint>()
  const member = await own.join(
    {
      group: `${name}.g`,
      topics: [name],
      sessionTimeoutMs: SESSION_MS,
      rebalanceTimeoutMs: 5000,
      heartbeatMs: 200,
      maxWaitMs: 100,
      maxBytesPerPartition: 2 ** 20,
      ...options,
      events: {
        onAssigned: (assignment) => {
          told.push('assigned')
          assignments.push(assignment)
          return Promise.resolve(
            assignment.partitions.map((one) => ({ ...one, offset: next.get(one.partition) ?? 0n })),
          )
        },
        onRevoking: () => {
          told.push('revoking')
          return Promise.resolve()
        },
        onLost: () => void told.push('lost'),
        onRecords: (batch) => {
          batches.push(batch)
          next.set(batch.partition, batch.lastOffset + 1n)
          values.push(...batch.records.map(({ value }) => Buffer.from(value ?? '').toString()))
        },
        onCheck: () => {},
        onOutOfRange: () => void told.push('out of range'),
        onDead: (error) => void told.push(`dead: ${error.message}`),
        ...more,
      },
    },
    call,
  )
  onTestFinished(async () => void (await member.stop()))
  return { member, told, values, assignments, batches }
}
