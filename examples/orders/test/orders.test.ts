import { connect } from 'node:net'
import { describeBroker } from '@polybus/brokers'
import { expect, test } from 'vitest'
import { firstByDate, lastLine, start } from './support.ts'

/** What `--json` must say of the first orders, on any broker. */
function expectedOf(orders: number) {
  const expected = firstByDate(orders)
  const repeated = expected.filter(({ number }) => number % 100 === 7).length
  const declined = expected.filter(({ number }) => number % 1000 === 400).length
  expect([repeated, declined].every((count) => count > 0)).toBe(true)
  return {
    orders,
    charged_cents: expected.reduce((sum, { cents }) => sum + cents, 0),
    duplicates_absorbed: repeated,
    dead_letters: 6 * 3 + declined,
    replayed: declined,
    order_violations: 0,
    lost: 0,
    repeated_effects: 0,
    ok: true,
  }
}

const answers = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect({ host: '127.0.0.1', port }, () => resolve(true))
    socket.on('error', () => resolve(false)).on('connect', () => socket.destroy())
  })

test(
  'memory: 2,000 orders are charged to the cent, each once and in order, and none is lost',
  { timeout: 60_000 },
  async () => {
    const { code, out, err } = await start('--orders', '2000', '--json')
    expect(err).toBe('')
    expect(lastLine(out)).toMatchObject(expectedOf(2000))
    expect(code).toBe(0)
  },
)

/** One line a broker: its service, the scheme of its URLs, and how many orders are enough; ElasticMQ is slow. */
const SERVERS = [
  { name: 'redis', scheme: 'redis', orders: 2000 },
  { name: 'rabbitmq', scheme: 'amqp', orders: 2000 },
  { name: 'kafka', scheme: 'kafka', orders: 2000 },
  { name: 'sqs', scheme: 'sqs', orders: 600 },
] as const

for (const { name, scheme, orders } of SERVERS)
  await describeBroker(
    name,
    (broker) => {
      test(
        `${name}: the first ${orders} of these orders have the same sum, a second time on one server too`,
        { timeout: 240_000 },
        async () => {
          for (let run = 1; run <= 2; run++) {
            const { code, out } = await start('--orders', String(orders), '--json', '--broker', broker().url)
            expect(lastLine(out)).toMatchObject(expectedOf(orders))
            expect(code).toBe(0)
          }
        },
      )

      test(
        `${name}: without a host a server is brought up, named, and gone at the end`,
        { timeout: 120_000 },
        async () => {
          const { code, out } = await start('--orders', '300', '--broker', `${scheme}:`)
          const [, url] = /^Brought up \w+ for this run: (\S+)/m.exec(out)!
          expect(url).toMatch(new RegExp(`^${scheme}://`))
          expect(out).toMatch(/^charge /m)
          expect(out.match(/^ok /gm)).toHaveLength(4)
          expect(code).toBe(0)
          expect(await answers(Number(new URL(url!).port))).toBe(false)
        },
      )
    },
    { instance: 'orders' },
  )

test(
  'memory: the report has a row for every group, the declined charges, and what held',
  { timeout: 60_000 },
  async () => {
    const { code, out } = await start('--orders', '600')
    for (const group of ['charge', 'inventory', 'email', 'warehouse', 'analytics', 'fraud'])
      expect(out).toMatch(new RegExp(`^${group} `, 'm'))
    expect(out).toContain('CardDeclined')
    expect(out).toMatch(/the publish alone +p50 .*p99/)
    expect(out.match(/^ok /gm)).toHaveLength(4)
    expect(out).not.toContain('FAIL')
    expect(code).toBe(0)
  },
)

test('--help shows every option and an example, and ends with 0', async () => {
  const { code, out } = await start('--help')
  for (const option of ['--broker', '--orders', '--processes', '--kill', '--restarts', '--json', '--help'])
    expect(out).toContain(option)
  for (const example of ['npm start -- --orders', 'npm start -- --broker redis: --processes 4'])
    expect(out).toContain(example)
  expect(code).toBe(0)
})

test.each([
  [['--oders', '5'], /--oders/],
  [['--orders', '0'], /--orders/],
  [['--orders', '1.5'], /--orders/],
  [['--orders'], /--orders/],
  [['5000'], /5000/],
  [['--processes', '2'], /--processes: memory: lives in one process/],
  [['--processes', 'two', '--broker', 'redis:'], /--processes: expected a whole number/],
  [['--kill', '2', '--processes', '2', '--broker', 'redis:'], /--kill 2: one must be left/],
  [['--kill', '1', '--broker', 'redis:'], /--kill 1: one must be left/],
  [['--restarts', '1'], /--restarts: kills only a server that this run brought up itself/],
  [['--restarts', '1', '--broker', 'redis://127.0.0.1:6379'], /--restarts: kills only a server/],
  [
    ['--restarts', '1', '--broker', 'sqs:'],
    /--restarts: the server that sqs: brings up, ElasticMQ, has its queues in memory/,
  ],
  [['--broker', 'rabbit://user:hunter2@shop'], /amqp/],
])('what is wrong in %j is said in a line or two, and ends with 2', async (options, names) => {
  const { code, out, err } = await start(...options)
  expect(err).toMatch(names)
  expect(err).not.toMatch(/^ {4}at /m)
  expect(err).not.toContain('hunter2')
  expect(out).toBe('')
  expect(code).toBe(2)
})
