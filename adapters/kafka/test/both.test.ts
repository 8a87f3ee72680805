// Both libraries on one topic and in one group, as while a service is moved from one to the other.
import { describeBroker } from '@polybus/brokers'
import { expect, test, vi } from 'vitest'
import type { Client } from '../src/client.ts'
import { call, client, join, record, topic, type Watched } from './client-support.ts'
import { until } from './support.ts'

vi.setConfig({ testTimeout: 60_000 })

await describeBroker('kafka', (broker) => {
  const LIBRARIES = ['kafkajs', 'platformatic'] as const
  const partitionsOf = ({ member }: Watched): number[] =>
    (member.assignment()?.partitions ?? []).map(({ partition }) => partition)

  test('kafka: members of both libraries share a group, and one takes over what the other leaves', async () => {
    const [one, other] = LIBRARIES.map((library) => client(broker(), {}, library)) as [Client, Client]
    const name = await topic(one, 4)
    for (const [first, second] of [
      [one, other],
      [other, one],
    ] as const) {
      const leaving = await join(first, name)
      const staying = await join(second, name)
      await until(() => partitionsOf(leaving).length === 2 && partitionsOf(staying).length === 2, 'even shares')
      expect([...partitionsOf(leaving), ...partitionsOf(staying)].toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3])
      await leaving.member.stop()
      await until(() => partitionsOf(staying).length === 4, 'all of it')
      await staying.member.stop()
    }
  })

  test('kafka: what one library wrote the other reads, header by header', async () => {
    const [one, other] = LIBRARIES.map((library) => client(broker(), {}, library)) as [Client, Client]
    const name = await topic(one)
    const headers = [
      ['b', '1'],
      ['a', ''],
      ['b', '2'],
      ['10', 'ten'],
    ] as const
    for (const by of [one, other]) {
      const wrote = record('value', { key: Buffer.from('key'), headers, timestamp: 1_700_000_000_000 })
      const [result] = await by.producer().produce([{ topic: name, partition: 0, records: [wrote] }], call)
      expect(result?.ok).toBe(true)
    }
    const seen = await Promise.all(
      [one, other].map((by) => by.read({ topic: name, partition: 0, offset: 0n }, 10, call)),
    )
    expect(seen[0]?.records).toHaveLength(2)
    expect(seen[1]?.records).toEqual(seen[0]?.records)
    for (const { headers: found } of seen[0]?.records ?? [])
      expect(found.map(([title, value]) => [title, Buffer.from(value).toString()])).toEqual(headers)
  })
})
