// The client below the adapter, while its broker is killed: what it confirms is there, and what is there is read.
import { describeBroker } from '@polybus/brokers'
import { sleep } from '@polybus/core'
import { expect, test, vi } from 'vitest'
import { call, client, clock, join, record, topic, valuesOf } from './client-support.ts'
import { library } from './library.ts'
import { until } from './support.ts'

vi.setConfig({ testTimeout: 90_000 })

await describeBroker(
  'kafka',
  (broker) => {
    test('kafka: while the broker is killed twice everything that is confirmed is there, once, and is read', async () => {
      const own = client(broker())
      const name = await topic(own, 4)
      const reader = await join(own, name)
      const producer = own.producer()
      const confirmed: string[] = []
      const refused: string[] = []
      let going = true
      const writers = [0, 1, 2, 3].map(async (partition) => {
        for (let n = 0; going; n++) {
          const value = `${partition}-${n}`
          const [result] = await producer.produce([{ topic: name, partition, records: [record(value)] }], call)
          if (result?.ok) confirmed.push(value)
          else refused.push(`${value} ${result?.error.code} ${result?.error.sent}`)
          await sleep(clock, 5)
        }
      })
      for (let round = 0; round < 2; round++) {
        const before = confirmed.length
        await until(() => confirmed.length > before + 50, 'messages before a kill')
        await broker().kill()
        await broker().start()
      }
      const before = confirmed.length
      await until(() => confirmed.length > before + 50, 'messages after the kills', 30_000)
      going = false
      await Promise.all(writers)
      const values = await valuesOf(own, name)
      expect(confirmed.filter((value) => !values.includes(value))).toEqual([])
      const twice = values.filter((value, at) => values.indexOf(value) !== at)
      expect(twice).toEqual([])
      await until(() => values.every((value) => reader.values.includes(value)), 'everything read', 30_000)
      expect(reader.told.filter((what) => what.startsWith('dead'))).toEqual([])
      // Within a partition in order.
      for (const partition of [0, 1, 2, 3]) {
        const order = values.filter((value) => value.startsWith(`${partition}-`)).map((value) => Number(value.split('-')[1])) // prettier-ignore
        expect(order).toEqual(order.toSorted((a, b) => a - b))
      }
    })
  },
  // Its own: others would be killed with it.
  { instance: `kills-${library()}` },
)
