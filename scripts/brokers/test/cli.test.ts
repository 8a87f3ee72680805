// `npm run brokers`, with a cache of its own so that it never meets what runs on this machine.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeBroker } from '@polybus/brokers'
import { afterAll, expect, test } from 'vitest'
import { brokersCli, type Ended } from './child.ts'
import { ask } from './resp.ts'

const folder = mkdtempSync(join(tmpdir(), 'polybus-brokers-'))
const { POLYBUS_TEST_RUN: _, ...env } = process.env
const brokers = (...args: readonly string[]): Promise<Ended> => brokersCli(args, { ...env, XDG_CACHE_HOME: folder })
const json = async (...args: readonly string[]): Promise<{ ok: boolean; brokers: Record<string, unknown>[] }> =>
  JSON.parse((await brokers(...args, '--json')).out) as { ok: boolean; brokers: Record<string, unknown>[] }

afterAll(async () => {
  await brokers('down', '--all', '--remove')
  rmSync(folder, { recursive: true })
})

await describeBroker('redis', () => {
  test('redis: up twice is one server; down and up again keep port and data', { timeout: 30_000 }, async () => {
    const first = await json('up', 'redis', '--instance', 'shop')
    expect(first).toMatchObject({ ok: true, brokers: [{ name: 'redis', status: 'running', note: 'started' }] })
    const { port, pid } = first.brokers.map(({ url, pid }) => ({ port: Number(new URL(String(url)).port), pid }))[0]!
    expect(await ask(port, 'SET kept yes')).toBe('+OK')

    const second = await json('up', 'redis', '--instance', 'shop')
    expect(second).toMatchObject({ ok: true, brokers: [{ pid, note: 'ran already' }] })
    expect((await brokers('status', 'redis', '--instance', 'shop')).code).toBe(0)

    const down = await brokers('down', 'redis', '--instance', 'shop')
    expect(down).toMatchObject({ code: 0 })
    expect((await brokers('down', 'redis', '--instance', 'shop')).code).toBe(0)
    const status = await brokers('status', 'redis', '--instance', 'shop')
    expect(status.code).toBe(1)
    expect(status.out).toMatch(/^redis +shop +stopped/m)

    expect((await json('up', 'redis', '--instance', 'shop')).brokers[0]).toMatchObject({
      url: `redis://127.0.0.1:${port}`,
    })
    expect(await ask(port, 'GET kept')).toBe('$3 yes')
    expect((await json('down', '--instance', 'shop', '--remove')).brokers[0]).toMatchObject({
      note: 'stopped, removed',
    })
    expect((await json('up', 'redis', '--instance', 'shop')).ok).toBe(true)
    const now = Number(new URL(String((await json('status', 'redis')).brokers.at(-1)!['url'])).port)
    expect(await ask(now, 'GET kept')).toBe('$-1')
  })

  test('redis: a command has brokers of its own, and its exit code is ours', { timeout: 30_000 }, async () => {
    const script = `
      const { startBroker } = await import('@polybus/brokers')
      console.log((await startBroker('redis')).port)
      process.exitCode = 7`
    const { code, out } = await brokers('run', process.execPath, '--input-type=module', '--eval', script)
    expect(code).toBe(7)
    await expect(ask(Number(out), 'PING')).rejects.toThrow('ECONNREFUSED')
    expect((await brokers('status')).out).not.toContain('run-')
  })
})

test('--help shows every command and option, and an example, and ends with 0', async () => {
  const { code, out } = await brokers('--help')
  for (const part of [
    'up',
    'down',
    'status',
    'run',
    'compose',
    '--instance',
    '--all',
    '--remove',
    '--json',
    'up redis rabbitmq',
  ])
    expect(out).toContain(part)
  expect(code).toBe(0)
})

test.each([
  [[], /up, down or status/],
  [['upp'], /upp/],
  [['up', 'rabbit'], /Unknown broker rabbit\. Known: redis, rabbitmq/],
  [['up', '--jsn'], /--jsn/],
  [['run'], /which command/],
])('what is wrong in %j is said in a line or two, and ends with 2', async (args, text) => {
  const { code, out, err } = await brokers(...args)
  expect(err).toMatch(text)
  expect(err).not.toMatch(/^ {4}at /m)
  expect(out).toBe('')
  expect(code).toBe(2)
})
