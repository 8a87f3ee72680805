// What is told to a container engine. There may be none here, so a program stands for it that writes down its arguments.
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { kafkaUsers } from '@polybus/brokers'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { COMPOSE_FILE, statusIn } from '../src/compose.ts'
import { composeFile } from '../src/compose-file.ts'
import type { Layout } from '../src/service.ts'
import { type BrokerName, brokerNames, services, usualNames } from '../src/services.ts'
import { runFixture } from './child.ts'

interface ComposeService {
  readonly image: string
  readonly ports: readonly string[]
  readonly command?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly profiles?: readonly string[]
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
  const layout: Layout = {
    folder: '/f',
    data: '/f/data',
    logs: '/f/log',
    ports: { redis: 1234 },
    jars: '',
    archive: '',
  }
  const pairs = (args: readonly string[]): readonly string[] =>
    args.flatMap((arg, index) => (arg.startsWith('--') ? [`${arg} ${args[index + 1]}`] : []))
  const [server] = services.redis.native!.processes(layout)
  const container = pairs(written['redis']!.command!)
  expect(container).toContain('--appendfsync always')
  expect(pairs(server!.args)).toEqual(expect.arrayContaining([...container]))
})

test('kafka: the native server gets every setting that the container gets, but for its addresses', () => {
  const { environment } = written['kafka']!
  // As the image reads them.
  const container = Object.fromEntries(
    Object.entries(environment!).map(([name, value]) => [
      name
        .replace(/^KAFKA_/, '')
        .toLowerCase()
        .replaceAll(/_{1,3}/g, (all) => ['.', '_', '-'][all.length - 1]!),
      value,
    ]),
  )
  const ports = { kafka: 1, sasl: 2, controller: 3 }
  const { files } = services.kafka.native!
  const text = files!({ folder: '/f', data: '/f/data', logs: '/f/log', ports, jars: 'x', archive: '' })[
    'server.properties'
  ]!
  const natively = Object.fromEntries(
    text
      .trim()
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )
  const addresses = ['controller.quorum.voters', 'inter.broker.listener.name', 'listeners', 'advertised.listeners']
  for (const name of addresses) {
    expect(natively).toHaveProperty([name])
    delete container[name]
  }
  expect(container['offsets.topic.replication.factor']).toBe('1')
  expect(container['listener.name.credentials.scram-sha-256.sasl.jaas.config']).toContain('ScramLoginModule')
  expect(natively).toMatchObject(container)
  expect(natively['listeners']).toBe('HOST://127.0.0.1:1,CREDENTIALS://127.0.0.1:2,CONTROLLER://127.0.0.1:3')
  expect(natively['advertised.listeners']).toBe('HOST://127.0.0.1:1,CREDENTIALS://127.0.0.1:2')
})

test('sqs: the native server gets every setting that the container gets', () => {
  const layout: Layout = { folder: '/f', data: '/f/data', logs: '/f/log', ports: { sqs: 1234 }, jars: 'x', archive: '' }
  const [server] = services.sqs.native!.processes(layout)
  const { command } = written['sqs']!
  expect(command).toContain('-Drest-sqs.sqs-limits=strict')
  expect(server!.args).toEqual(expect.arrayContaining([...command!]))
  expect(server!.args).toContain('-Drest-sqs.bind-port=1234')
})

test.each(['kafka', 'sqs'] as const)('%s: the heap of the native server is bounded', (name) => {
  const ports = { kafka: 1, sasl: 2, controller: 3, sqs: 4 }
  const { processes } = services[name].native!
  const [server] = processes({ folder: '/f', data: '/f/data', logs: '/f/log', ports, jars: 'x', archive: '' })
  expect(server!.args).toContainEqual(expect.stringMatching(/^-Xmx\d+m$/))
})

test('redpanda: it starts only by name', () => {
  expect(written['redpanda']!.profiles).toEqual(['redpanda'])
  expect(usualNames).not.toContain('redpanda')
  expect(Object.values(written).filter(({ profiles }) => profiles)).toHaveLength(1)
})

/** What the engine is told in the life of an instance. */
async function boxed(name: BrokerName): Promise<{ inProject: readonly string[]; out: Record<string, unknown> }> {
  const folder = mkdtempSync(join(tmpdir(), 'polybus-engine-'))
  try {
    const engine = join(folder, 'docker')
    copyFileSync(fileURLToPath(new URL('./fixtures/engine.mjs', import.meta.url)), engine)
    chmodSync(engine, 0o755)
    const { POLYBUS_TEST_RUN: _, ...env } = process.env
    const { out, err } = await runFixture('compose-life.ts', [name], {
      ...env,
      PATH: `${folder}${delimiter}${env['PATH']}`,
      XDG_CACHE_HOME: folder,
      ENGINE_FOLDER: folder,
      ENGINE_PORT_VARIABLE: services[name].ports[0].variable,
    })
    expect(err).toBe('')
    const calls = readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n')
    return {
      inProject: calls.filter((call) => call.includes('--project-name')),
      out: JSON.parse(out) as Record<string, unknown>,
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

// Twenty programs are started.
const SLOW = { timeout: 60_000 }
const head = 'compose --project-name polybus-boxed --file FILE '

test('redis: an instance in a container has a project and a port of its own from start to end', SLOW, async () => {
  const { inProject, out } = await boxed('redis')
  const { port, again, log } = out
  expect(again).toBe(port)
  expect(log).toBe('what the container printed\n')
  for (const call of inProject) {
    expect(call.startsWith(head)).toBe(true)
    if (!call.includes(' ps ')) expect(call).toMatch(new RegExp(` PORT=${String(port)}$`))
  }
  const verbs = inProject.map((call) => call.slice(head.length).replace(/ PORT=.*$/, ''))
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
})

test('redpanda: an instance in a container is of its profile, and is set each time it has started', SLOW, async () => {
  const { inProject } = await boxed('redpanda')
  const verbs = inProject.map((call) => call.replace(/ PORT=.*$/, ''))
  expect(verbs.every((verb) => verb.startsWith(`${head}--profile redpanda `))).toBe(true)
  const set = 'exec --no-TTY redpanda rpk cluster config set'
  const start = [
    'up --detach --wait redpanda',
    `${set} group_min_session_timeout_ms 1000`,
    `${set} group_initial_rebalance_delay 0`,
  ]
  const all = verbs
    .map((verb) => verb.slice(`${head}--profile redpanda `.length))
    .filter((verb) => /^(up|exec) /.test(verb))
  expect(all).toEqual([...start, ...start])
})

test('kafka: in a container, too, there are users for a login by SCRAM', SLOW, async () => {
  const { inProject } = await boxed('kafka')
  const execs = inProject.filter((call) => call.includes(' exec '))
  for (const { username, password } of Object.values(kafkaUsers))
    expect(execs.join('\n')).toContain(
      `kafka-configs.sh --bootstrap-server kafka:9091 --alter --entity-type users --entity-name ${username} --add-config SCRAM-SHA-256=[password=${password}],SCRAM-SHA-512=[password=${password}]`,
    )
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
