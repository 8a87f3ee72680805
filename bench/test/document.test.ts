import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { documentOf, readResult } from '../src/document.ts'
import type { Result } from '../src/report.ts'

const folder = mkdtempSync(join(tmpdir(), 'polybus-document-'))
afterAll(() => rmSync(folder, { recursive: true }))
const fileOf = (text: string): string => {
  const file = join(folder, 'result.txt')
  writeFileSync(file, text)
  return file
}
const row = {
  direction: 'publish',
  what: '',
  messages: 1000,
  lowest: 900.4,
  highest: 1100.4,
  cpuMicros: 7.04,
  rates: [],
}
const result: Result = {
  machine: { cpu: 'a processor', cores: 2, node: 'v24.0.0', platform: 'linux x64' },
  at: '2026-11-29T12:00:00.000Z',
  reports: [
    {
      broker: 'redis',
      server: 'Redis 7.0.15',
      client: 'ioredis 6.0.0',
      rounds: 9,
      sizes: [
        {
          bytes: 4096,
          rows: [
            { ...row, direction: 'publish', name: 'raw tuned', median: 100_000, what: 'pipelines', against: [] },
            {
              ...row,
              direction: 'publish',
              name: 'polybus',
              median: 91_234.5,
              what: 'bus.publish',
              against: [{ name: 'raw tuned', median: 0.912, low: 0.881, high: 0.954, confidence: 0.96 }],
            },
          ],
        },
      ],
    },
  ],
}

test('the page holds machine, versions, medians and ratios of what a run printed', () => {
  const page = documentOf([readResult(fileOf(`a table\n\n${JSON.stringify(result)}\n`))])
  for (const text of ['## Redis', 'Redis 7.0.15, ioredis 6.0.0; a processor, 2 cores', '9 rounds, 2026-11-29', '4,096'])
    expect(page).toContain(text)
  expect(page).toContain('| publish, polybus | 91,235 | 900 to 1,100 | 7.0 | 0.91 (0.88 to 0.95) |  |  |')
  expect(page).toContain('- publish, polybus: bus.publish')
})

test('what is no result is refused by its name', () => {
  expect(() => readResult(fileOf('a table\n'))).toThrow('result.txt: its last line is no JSON')
  expect(() => readResult(fileOf('{"machine":{}}\n'))).toThrow('result.txt: no result of')
})

test('what was measured beside the throughput has tables and a word on how, in the chapter of its broker', () => {
  const samples = [20e6, 22e6].map((heap, index) => ({ messages: 500_000 * (index + 1), heap, rss: 1e8 }))
  const trend = { slope: 0.5, rise: 250_000, limit: 1_300_000, flat: true }
  const ratio = { median: 1.21, low: 1.1, high: 1.4, confidence: 0.96 }
  const about = { broker: 'sqs', server: 'ElasticMQ', client: 'the SDK', rounds: 9, sizes: [] } as const
  const [first, second] = [
    { ...about, memory: { bytes: 256, messages: 1e6, again: 3, samples, heap: trend, rss: trend } },
    {
      ...about,
      wire: {
        rounds: 3,
        sizes: [
          {
            bytes: 256,
            rows: [
              {
                direction: 'publish',
                name: 'polybus',
                messages: 100,
                sent: 555.4,
                received: 28,
                against: [{ name: 'raw bare', ...ratio }],
              },
            ],
          },
        ],
      },
    },
  ] as const
  const page = documentOf([
    { ...result, reports: [first] },
    { ...result, reports: [...result.reports, second] },
  ])
  expect(page).toContain('| heap | 20.0 | 22.0 | 22.0 | 0.50 | 0.3 | 1.3 | flat |')
  expect(page).toContain('- 3 messages were handed out again')
  expect(page).toContain('| publish, polybus | 100 | 555 | 28 | 583 |  | 1.21 (1.10 to 1.40) |')
  for (const text of ['**Memory**', '**On the wire**', 'an emulator']) expect(page).toContain(text)
  expect(page).not.toContain('**Latency**')
  expect(page.match(/^## .*$/gm)).toEqual(['## At a glance', '## Redis', '## SQS'])
})
