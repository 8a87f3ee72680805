import { expect, test } from 'vitest'
import { costs, FEATURES } from '../src/cost.ts'

test('every feature runs on the broker in memory, and is told against the plain consumer', async () => {
  const { rows } = await costs({
    broker: 'memory',
    url: 'memory:',
    raw: undefined,
    rounds: 1,
    warmUp: false,
    sizes: [256],
    messages: 60,
    only: '',
    progress: () => undefined,
  })
  expect(rows.map(({ name }) => name)).toEqual(FEATURES.map(({ name }) => name))
  for (const { name, ratio, median } of rows) {
    expect(median, name).toBeGreaterThan(0)
    expect(ratio === undefined, name).toBe(name === 'plain')
  }
})
