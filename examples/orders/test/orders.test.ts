import { expect, test } from 'vitest'
import { expectedOf, lastLine, start } from './support.ts'

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
