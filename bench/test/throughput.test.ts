import { expect, test } from 'vitest'
import { kinds } from '../src/brokers/index.ts'
import { contendersOf } from '../src/contenders.ts'
import { chosen } from '../src/throughput.ts'

const all = contendersOf(kinds.redis)
const titles = (only: string, alone = false): readonly string[] =>
  chosen(all, only, alone).map(({ direction, name }) => `${direction} ${name}`)

test('what is chosen brings the raw ones of its direction along', () => {
  expect(titles('batch')).toEqual([
    'consume raw naive',
    'consume raw tuned',
    'consume raw bare',
    'consume polybus batch',
  ])
  expect(titles('publish')).toEqual([
    'publish raw naive',
    'publish raw tuned',
    'publish raw bare',
    'publish polybus',
    'publish polybus + zod',
  ])
  expect(titles('')).toHaveLength(10)
})

test('alone, it is only what the text chooses', () => {
  expect(titles('consume polybus', true)).toEqual(['consume polybus', 'consume polybus batch'])
})

test('every broker has all scenarios, so that the tables say the same of each', () => {
  for (const kind of Object.values(kinds))
    expect(contendersOf({ ...kind, also: undefined }).map(({ direction, name }) => `${direction} ${name}`)).toEqual(
      titles(''),
    )
})

test('Kafka is measured over its other client too', () => {
  const names = contendersOf(kinds.kafka).map(({ direction, name }) => `${direction} ${name}`)
  expect(names.filter((name) => name.includes('over'))).toEqual([
    'publish polybus over @platformatic/kafka',
    'consume polybus over @platformatic/kafka',
  ])
})
