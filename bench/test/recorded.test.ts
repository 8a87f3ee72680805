import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { check, ratiosOf, readRecords, record, writeRecords } from '../src/recorded.ts'
import type { Report } from '../src/report.ts'
import type { Row } from '../src/throughput.ts'

const machine = { cpu: 'a processor', cores: 2, node: 'v24.0.0', platform: 'linux x64' }
const row = (name: string, ratio: number): Row => ({
  direction: 'publish',
  name,
  what: '',
  messages: 100,
  median: 1,
  lowest: 1,
  highest: 1,
  cpuMicros: 1,
  rates: [1],
  against: [{ name: 'raw tuned', median: ratio, low: ratio, high: ratio, confidence: 0.96 }],
})
const report = (ratios: Readonly<Record<string, number>>): Report => ({
  broker: 'redis',
  server: 'Redis 7',
  client: 'ioredis 6',
  rounds: 9,
  sizes: [{ bytes: 256, rows: Object.entries(ratios).map(([name, ratio]) => row(name, ratio)) }],
})
const NAME = '256 B, publish, polybus / raw tuned'

test('only ratios of Polybus are recorded', () => {
  expect(ratiosOf(report({ 'raw tuned': 2, polybus: 0.91234 }))).toEqual({ [NAME]: 0.912 })
})

test('a ratio below 85 % of the recorded one has fallen, and is named', () => {
  const records = record({}, machine, report({ polybus: 1 }))
  expect(check(records, [report({ polybus: 0.85 })])).toEqual({ compared: 1, fallen: [], unknown: [] })
  expect(check(records, [report({ polybus: 0.84 })])).toEqual({
    compared: 1,
    fallen: [{ broker: 'redis', name: NAME, recorded: 1, now: 0.84 }],
    unknown: [],
  })
})

test('what nobody recorded is told, and fails nothing', () => {
  expect(check({}, [report({ polybus: 0.1 })])).toEqual({ compared: 0, fallen: [], unknown: [`redis, ${NAME}`] })
})

test('recording keeps what was not measured this time', () => {
  const first = record({}, machine, report({ polybus: 1, 'polybus + zod': 0.8 }))
  const second = record(first, machine, report({ polybus: 0.9 }))
  expect(second['redis']?.ratios).toEqual({ [NAME]: 0.9, '256 B, publish, polybus + zod / raw tuned': 0.8 })
})

test('records are read as they were written', () => {
  const folder = mkdtempSync(join(tmpdir(), 'polybus-recorded-'))
  try {
    const file = join(folder, 'recorded.json')
    expect(readRecords(file)).toEqual({})
    const records = record({}, machine, report({ polybus: 1 }))
    writeRecords(records, file)
    expect(readRecords(file)).toEqual(records)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
