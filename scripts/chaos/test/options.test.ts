import { expect, test } from 'vitest'
import { through } from '../src/access.ts'
import { readOptions } from '../src/options.ts'
import { type Charge, shareOf } from '../src/purchases.ts'
import { commandOf } from '../src/report.ts'
import { isKillable } from '../src/servers.ts'

test('a seed is any where none is given, and as given else', () => {
  const options = ['--broker', 'kafka:', '--store', 'postgres']
  expect(readOptions(options)).toMatchObject({ minutes: 2, consumers: 3, publishers: 2, rate: 200, dryRun: false })
  const seeds = new Set(Array.from({ length: 5 }, () => readOptions(options).seed))
  expect(seeds.size).toBeGreaterThan(1)
  expect(readOptions([...options, '--seed', '7']).seed).toBe(7)
})

test('a client is for a Kafka that is brought up, and stands in the command that repeats the run', () => {
  const store = ['--store', 'postgres', '--seed', '7']
  const options = readOptions(['--broker', 'kafka:', '--client', 'platformatic', ...store])
  expect(options.client).toBe('platformatic')
  expect(commandOf(options)).toContain('--broker kafka: --client platformatic')
  expect(() => readOptions(['--broker', 'kafka:', '--client', 'rdkafka', ...store])).toThrow(/--client/)
  expect(() => readOptions(['--broker', 'redis:', '--client', 'platformatic', ...store])).toThrow(/--client/)
})

test.each([
  ['kafka:', true],
  ['amqp:', true],
  ['redis:', true],
  ['sqs:', false],
  ['kafka://127.0.0.1:9092', false],
  ['sqs://127.0.0.1:9324', false],
])('%s may be killed: %s', (url, killable) => {
  expect(isKillable(url)).toBe(killable)
})

test.each([
  ['redis://127.0.0.1:6380', 'redis://127.0.0.1:25000'],
  ['redis://localhost', 'redis://127.0.0.1:25000'],
  ['redis://:secret@cache:6380/2?leaseMs=1000', 'redis://:secret@127.0.0.1:25000/2?leaseMs=1000'],
  ['amqp://guest:guest@127.0.0.1:5672/shop', 'amqp://guest:guest@127.0.0.1:25000/shop'],
  ['sqs://127.0.0.1:9324?region=eu-west-1', 'sqs://127.0.0.1:25000?region=eu-west-1'],
])('%s is reached as %s', (url, proxied) => {
  expect(through(url, { host: '127.0.0.1', port: 25_000 })).toEqual({ url: proxied })
})

test('Kafka is reached by the address that it tells, on a detour', () => {
  const to = { host: '127.0.0.1', port: 25_000 }
  const from = { host: 'broker', port: 9093 }
  expect(through('kafka://broker:9093,other:9093', to)).toEqual({
    url: 'kafka://broker:9093,other:9093',
    detour: { from, to },
  })
})

function take(index: number, publishers: number): Charge[] {
  const share = shareOf(index, publishers)
  return Array.from({ length: 200 }, () => share.next().value)
}

test('publishers share the purchases by customer, in the order of the file, with a number for each', () => {
  const [even, odd] = [take(0, 2), take(1, 2)]
  expect(even.every(({ customer }) => Number(customer) % 2 === 0)).toBe(true)
  expect(odd.every(({ customer }) => Number(customer) % 2 === 1)).toBe(true)
  for (const share of [even, odd])
    expect(share.map(({ seq }) => seq)).toEqual(share.map(({ seq }) => seq).toSorted((a, b) => a - b))
  expect([...even, ...odd].every(({ seq, number }) => seq === number - 2)).toBe(true)
})

test('after the last purchase it goes on with the first, under new numbers', () => {
  const mine = take(0, 2000)
  const [first] = mine
  const again = mine.findIndex(({ number }, index) => index > 0 && number === first!.number)
  expect(mine[again]).toEqual({ ...first, seq: first!.seq + 69_659 })
  expect(new Set(mine.map(({ seq }) => seq)).size).toBe(200)
})
