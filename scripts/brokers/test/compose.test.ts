// What is told to a container engine. There may be none here, so a program stands for it that writes down its arguments.
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { COMPOSE_FILE, statusIn } from '../src/compose.ts'
import { composeFile } from '../src/compose-file.ts'
import type { Layout } from '../src/service.ts'
import { brokerNames, services } from '../src/services.ts'
import { runFixture } from './child.ts'

interface ComposeService {
  readonly image: string
  readonly ports: readonly string[]
  readonly command?: readonly string[]
  readonly healthcheck: object
}

const written = (parse(readFileSync(COMPOSE_FILE, 'utf8')) as { services: Record<string, ComposeService> }).services

test('docker-compose.yml is what the table of services says', () => {
  expect(readFileSync(COMPOSE_FILE, 'utf8'), 'npm run brokers -- compose').toBe(composeFile())
  expect(Object.keys(written)).toEqual(brokerNames)
})

test.each(brokerNames)(
  '%s: docker-compose.yml has its image with a version, its ports on loopback and a health check',
  (name) => {
    const { image, ports, healthcheck } = written[name]!
    expect(image).toBe(services[name].image)
    expect(image).toMatch(/:[\w.-]+$/)
    expect(image).not.toMatch(/:latest$/)
    expect(ports).toHaveLength(services[name].ports.length)
    for (const [index, { variable, port }] of services[name].ports.entries())
      expect(ports[index]).toMatch(new RegExp(`^127\\.0\\.0\\.1:\\$\\{${variable}:-${port}\\}:`))
    expect(healthcheck).toHaveProperty('test')
  },
)

test('no two services want the same port or variable', () => {
  const all = brokerNames.flatMap((name) => services[name].ports)
  expect(new Set(all.map(({ port }) => port)).size).toBe(all.length)
  expect(new Set(all.map(({ variable }) => variable)).size).toBe(all.length)
})

test('redis: the native server gets every setting that the container gets', () => {
  const layout: Layout = { folder: '/f', data: '/f/data', logs: '/f/log', ports: { redis: 1234 } }
  const pairs = (args: readonly string[]): readonly string[] =>
    args.flatMap((arg, index) => (arg.startsWith('--') ? [`${arg} ${args[index + 1]}`] : []))
  const [server] = services.redis.native!.processes(layout)
  const container = pairs(written['redis']!.command!)
  expect(container).toContain('--appendfsync always')
  expect(pairs(server!.args)).toEqual(expect.arrayContaining([...container]))
})

test('redis: an instance in a container has a project and a port of its own from start to end', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'polybus-engine-'))
  try {
    const engine = join(folder, 'docker')
    copyFileSync(fileURLToPath(new URL('./fixtures/engine.mjs', import.meta.url)), engine)
    chmodSync(engine, 0o755)
    const { POLYBUS_TEST_RUN: _, ...env } = process.env
    const { out, err } = await runFixture('compose-life.ts', [], {
      ...env,
      PATH: `${folder}${delimiter}${env['PATH']}`,
      XDG_CACHE_HOME: folder,
      ENGINE_FOLDER: folder,
    })
    expect(err).toBe('')
    const { port, again, log } = JSON.parse(out) as { port: number; again: number; log: string }
    expect(again).toBe(port)
    expect(log).toBe('what the container printed\n')
    const calls = readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n')
    const inProject = calls.filter((call) => call.includes('--project-name'))
    for (const call of inProject) {
      expect(call).toMatch(/^compose --project-name polybus-boxed --file FILE /)
      if (!call.includes(' ps ')) expect(call).toMatch(new RegExp(` REDIS_PORT=${port}$`))
    }
    const verbs = inProject.map((call) => call.split(' ').slice(5, -1).join(' '))
    expect(verbs.filter((verb) => !/^(ps|logs) /.test(verb))).toEqual([
      'up --detach --wait redis',
      'pause redis',
      'unpause redis',
      'kill redis',
      'up --detach --wait redis',
      'stop redis',
      'kill redis',
      'rm --stop --force --volumes redis',
    ])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test.each([
  ['', 'stopped'],
  ['{"Name":"a","State":"exited"}\n', 'stopped'],
  ['{"Name":"a","State":"running"}\n', 'running'],
  ['[{"Name":"a","State":"paused"}]\n', 'paused'],
  ['[]\n', 'stopped'],
])('what compose ps prints, %j, means %s', (out, status) => {
  expect(statusIn(out)).toBe(status)
})
