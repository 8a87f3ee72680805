import { expect, test } from 'vitest'
import { barTable, isMissed } from '../src/bars.ts'
import type { Report } from '../src/report.ts'

const ratio = (name: string, median: number, low: number, high: number) => ({
  name,
  median,
  low,
  high,
  confidence: 0.96,
})
const row = (direction: 'publish' | 'consume', against: readonly ReturnType<typeof ratio>[]) => ({
  direction,
  name: 'polybus',
  what: '',
  messages: 1,
  median: 1,
  lowest: 1,
  highest: 1,
  cpuMicros: 1,
  rates: [],
  against,
})
const report = (broker: Report['broker'], more: Partial<Report>): Report => ({
  broker,
  server: '',
  client: '',
  rounds: 9,
  sizes: [],
  ...more,
})
const TITLES = [
  ['kafka', 'Kafka'],
  ['redis', 'Redis'],
  ['sqs', 'SQS'],
] as const

test('an aim is missed only where the whole interval lies on the wrong side', () => {
  expect(isMissed(ratio('', 0.8, 0.7, 0.9), { least: 0.9 })).toBe(false)
  expect(isMissed(ratio('', 0.8, 0.7, 0.89), { least: 0.9 })).toBe(true)
  expect(isMissed(ratio('', 1.2, 1.1, 1.3), { most: 1.1 })).toBe(false)
  expect(isMissed(ratio('', 1.2, 1.11, 1.3), { most: 1.1 })).toBe(true)
})

test('a column for each broker that was measured; what was not says so, and what is no aim of a broker is not judged', () => {
  const sizes = [
    {
      bytes: 256,
      rows: [
        row('publish', [ratio('raw tuned', 1, 0.9, 1.1), ratio('raw naive', 0.5, 0.4, 0.6)]),
        row('consume', [ratio('raw tuned', 0.7, 0.6, 0.8)]),
      ],
    },
  ]
  const table = barTable([report('kafka', { sizes }), report('redis', { sizes })], TITLES)
  const line = (title: string): readonly string[] | undefined => table.find(([first]) => first === title)?.slice(2)
  expect(table[0]).toEqual(['', 'aim', 'Kafka', 'Redis'])
  expect(line('publish, of raw naive')).toEqual(['**missed**: 0.50 (0.40 to 0.60)', '0.50 (0.40 to 0.60)'])
  expect(line('consume, of raw tuned')?.[1]).toBe('**missed**: 0.70 (0.60 to 0.80)')
  expect(line('publish, of raw tuned')?.[0]).toBe('1.00 (0.90 to 1.10)')
  expect(line('single publish, p50 of raw')).toEqual(['not measured', 'not measured'])
})
