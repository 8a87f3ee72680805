import { channel, createBus, trust } from '@polybus/core'
import { expect, test } from 'vitest'
import { memory } from '../src/index.ts'

const notes = channel('notes', { schema: trust<{ text: string }>(), groups: ['print'] })

test("memory: durability 'strict' refuses a broker that ends with its process, and says so", async () => {
  const bus = await createBus(memory(), { durability: 'strict', logger: false })
  await expect(bus.publish(notes, { text: 'a' })).rejects.toMatchObject({
    code: 'HAZARD',
    sent: 'no',
    message: expect.stringContaining('end with this process'),
  })
  await bus.close()
})

test('memory: otherwise it is healthy, and nobody is warned', async () => {
  const warnings: string[] = []
  const log = () => {}
  const warn = (_fields: object, text: string) => void warnings.push(text)
  const bus = await createBus(memory(), { logger: { debug: log, info: log, warn, error: warn } })
  await bus.publish(notes, { text: 'a' })
  expect(bus.health()).toEqual({ status: 'up', reasons: [], drift: [] })
  expect(warnings).toEqual([])
  await bus.close()
})
