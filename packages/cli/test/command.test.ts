// What needs no broker.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { COMMANDS } from '../src/commands/index.ts'
import { cli, emptyFolder, lines } from './rig.ts'

test('the help lists every command, and each has an example of itself', async () => {
  const { code, out } = await cli(['--help'])
  expect(code).toBe(0)
  for (const { name } of COMMANDS) expect(out).toContain(`  ${name} `)
  const helps = await Promise.all(COMMANDS.map(({ name }) => cli([...name.split(' '), '--help'])))
  for (const [index, help] of helps.entries()) {
    const name = COMMANDS[index]!.name
    expect(help.code, name).toBe(0)
    expect(help.out, name).toMatch(new RegExp(`Examples:\n(.*\n)*?  .*polybus ${name} `))
    for (const option of Object.keys(COMMANDS[index]!.options)) expect(help.out, name).toContain(`--${option}`)
  }
})
test('without a command the help is on stderr, and it is no success', async () => {
  const { code, out, err } = await cli([])
  expect([code, out]).toEqual([2, ''])
  expect(err).toContain('Usage: polybus COMMAND')
})

test.each([
  [['dlq', 'lss'], "Did you mean 'dlq ls'?"],
  [['dlq'], 'Which of dlq ls, '],
  [['dql', 'ls', 'orders', 'charge'], "Did you mean 'dlq ls'?"],
  [['dlq', 'ls', 'orders'], '<group> is missing'],
  [['dlq', 'ls', 'orders', 'charge', '--resaon', 'x'], "Did you mean '--reason'?"],
  [['dlq', 'ls', 'orders', 'charge', '--reason'], '--reason needs a value'],
  [['dlq', 'ls', 'orders', 'charge', '--limit', 'many'], "--limit: expected a whole number above 0, got 'many'"],
  [['dlq', 'ls', 'orders', 'charge', '--since', 'noon'], "--since: 'noon' is no time"],
  [['dlq', 'ls', 'orders', 'charge', 'more'], "'more' is one too many"],
  [['dlq', 'replay', 'orders', 'charge'], 'Which ones? Give ids, filters, or --all.'],
  [['dlq', 'discard', 'orders', 'charge', 'm-1', '--all'], 'Give --all, or ids or filters, not both.'],
  [['publish', 'orders', '{"id":'], 'The value is no JSON'],
  [['tail', 'orders'], '--group is needed'],
  [
    ['dlq', 'ls', 'orders', 'charge', '--broker', 'kfka://x'],
    "--broker: unknown scheme 'kfka:'. Did you mean 'kafka:'?",
  ],
])('%j is refused in one line', async (words, text) => {
  const { code, out, err } = await cli(words)
  expect([code, out]).toEqual([2, ''])
  expect(lines(err)).toEqual([expect.stringContaining(text)])
})

test('memory: there is no other process to look into, and the error says what to do', async () => {
  for (const words of [
    ['dlq', 'ls', 'orders', 'charge'],
    ['doctor', 'orders'],
    ['lag', 'orders', '--groups', 'charge'],
  ]) {
    const { code, out, err } = await cli(words)
    expect([code, out]).toEqual([2, ''])
    expect(lines(err)).toEqual([
      expect.stringMatching(/inside one process.*--broker URL, POLYBUS_BROKER, or polybus.config/),
    ])
  }
})

test.concurrent.each([
  'redis://127.0.0.1:1',
  'amqp://user:s3cret@127.0.0.1:1',
  'kafka://127.0.0.1:1',
  'sqs://127.0.0.1:1',
])(
  '%s: a broker that is not there is one clear line and exit code 2',
  async (url) => {
    const env = { POLYBUS_BROKER: url, POLYBUS_CONNECT_TIMEOUT: '2s', POLYBUS_REGISTRY: 'http://localhost:8081' }
    const { code, out, err } = await cli(['dlq', 'ls', 'orders', 'charge'], { env })
    expect([code, out]).toEqual([2, ''])
    expect(lines(err)).toEqual([expect.stringMatching(/^polybus: .*could not be reached within 2000 ms/)])
    expect(err).not.toContain('s3cret')
  },
  20_000,
)

test('broker and namespace come from a configuration file too, and an option goes before it', async () => {
  const directory = emptyFolder()
  writeFileSync(
    join(directory, 'polybus.config.json'),
    JSON.stringify({ broker: 'amqp://127.0.0.1:1', connectTimeout: '50ms' }),
  )
  const { code, err } = await cli(['doctor', 'orders'], { directory })
  expect([code, err]).toEqual([2, expect.stringContaining('rabbitmq could not be reached within 50 ms')])
  const other = await cli(['doctor', 'orders', '--broker', 'redis://127.0.0.1:1'], { directory })
  expect(other.err).toContain('redis could not be reached within 50 ms')
})
