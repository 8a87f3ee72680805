// Kafka: one node that is broker and controller (KRaft). The container and the native server get the same settings.
import { randomBytes } from 'node:crypto'
import { java, jvm } from './java.ts'
import { greeting } from './probe.ts'
import type { Layout, Service } from './service.ts'

/**
 * Who may log in on the port `sasl`, by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, without TLS. `admin` may do everything,
 * `guest` nothing. The port `kafka` takes everybody, as `admin`.
 */
export const kafkaUsers = {
  admin: { username: 'polybus', password: 'polybus-secret' },
  guest: { username: 'guest', password: 'guest-secret' },
} as const

const VERSION = '4.1.0'
const SCRAM = ['SCRAM-SHA-256', 'SCRAM-SHA-512']
const users = Object.values(kafkaUsers)

// Confirmed survives a kill: what is written lies in the system's page cache, which outlives the process. Only the end of
// the machine loses it, and against that a real cluster has replicas, not an fsync for each message.
const SETTINGS: Readonly<Record<string, string | number | boolean>> = {
  'node.id': 1,
  'process.roles': 'broker,controller',
  'controller.listener.names': 'CONTROLLER',
  'listener.security.protocol.map': 'HOST:PLAINTEXT,CREDENTIALS:SASL_PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT',
  // There is one node to hold them.
  'default.replication.factor': 1,
  'offsets.topic.replication.factor': 1,
  'transaction.state.log.replication.factor': 1,
  'transaction.state.log.min.isr': 1,
  'share.coordinator.state.topic.replication.factor': 1,
  'share.coordinator.state.topic.min.isr': 1,
  // 50 each else, to be opened at every start.
  'offsets.topic.num.partitions': 4,
  'transaction.state.log.num.partitions': 4,
  'share.coordinator.state.topic.num.partitions': 4,
  'auto.create.topics.enable': false,
  'delete.topic.enable': true,
  // A killed broker is let in again when its old session has ended: after 9 s else.
  'broker.session.timeout.ms': 3000,
  'broker.heartbeat.interval.ms': 500,
  // A test that kills a consumer waits for its session to end.
  'group.min.session.timeout.ms': 1000,
  'group.initial.rebalance.delay.ms': 0,
  // And one that waits for a transaction, for compaction, for retention or for the files of a deleted topic.
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': 1000,
  'log.cleaner.backoff.ms': 1000,
  'log.retention.check.interval.ms': 5000,
  'log.segment.delete.delay.ms': 1000,
  // 128 MiB else, of a heap of 512.
  'log.cleaner.dedupe.buffer.size': 16 * 2 ** 20,
  'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
  'allow.everyone.if.no.acl.found': false,
  'super.users': `User:ANONYMOUS;User:${kafkaUsers.admin.username}`,
  'sasl.enabled.mechanisms': ['PLAIN', ...SCRAM].join(),
  'listener.name.credentials.plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required ${users
    .map(({ username, password }) => `user_${username}="${password}"`)
    .join(' ')};`,
  'listener.name.credentials.scram-sha-256.sasl.jaas.config':
    'org.apache.kafka.common.security.scram.ScramLoginModule required;',
  'listener.name.credentials.scram-sha-512.sasl.jaas.config':
    'org.apache.kafka.common.security.scram.ScramLoginModule required;',
}

/** As the image names them: `.` is `_`, `_` is `__`, `-` is `___`. */
function environment(settings: Readonly<Record<string, string | number | boolean>>): Record<string, string> {
  const names = (name: string): string =>
    name.replaceAll('_', '__').replaceAll('-', '___').replaceAll('.', '_').toUpperCase()
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [`KAFKA_${names(name)}`, String(value)]))
}

/** A backslash begins an escape. */
const properties = (settings: Readonly<Record<string, string | number | boolean>>): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name}=${String(value).replaceAll('\\', '\\\\')}\n`)
    .join('')

const listeners = ({ kafka, sasl }: Layout['ports']): string =>
  `HOST://127.0.0.1:${kafka},CREDENTIALS://127.0.0.1:${sasl}`

const LOGGED = {
  defaultLogLevel: 'warn',
  showDateTime: 'true',
  dateTimeFormat: 'HH:mm:ss.SSS',
  'log.kafka.server.KafkaRaftServer': 'info',
  'log.org.apache.kafka.common.utils.AppInfoParser': 'info',
  // Who joined which group, who left it and why.
  'log.org.apache.kafka.coordinator.group': 'info',
}

/** 16 bytes that do not begin with a dash, which the tool would take for an option. */
function clusterId(): string {
  for (;;) {
    const id = randomBytes(16).toString('base64url')
    if (!id.startsWith('-')) return id
  }
}

const scram = (username: string, password: string): readonly string[] =>
  SCRAM.map((mechanism) => `${mechanism}=[name=${username},password=${password}]`)

/** FindCoordinator, version 1, from a client without a name, of a group (0) or of transactions (1). */
const findCoordinator = (kind: 0 | 1): string =>
  `\0\0\0\x0e\0\x0a\0\x01\0\0\0${String.fromCharCode(kind)}\xff\xff\0\x01-${String.fromCharCode(kind)}`

/** A cluster makes the topics of its coordinators at the first such request; until then it serves neither groups nor transactions. */
const WHERE_ARE_THE_COORDINATORS = findCoordinator(0) + findCoordinator(1)

/** Whether both were answered with error code 0: after the length come the correlation id and the time that it was throttled. */
function isServing(heard: string): boolean {
  const lengthAt = (at: number): number => Buffer.from(heard.slice(at, at + 4), 'latin1').readInt32BE()
  if (heard.length < 4) return false
  const second = 4 + lengthAt(0)
  return heard.length >= second + 14 && [0, second].every((at) => heard.startsWith('\0\0', at + 12))
}

export const KAFKA_TOOL_FLAGS: readonly string[] = [
  ...jvm('256m'),
  // Its slf4j writes to stderr, all settings included.
  '-Dorg.slf4j.simpleLogger.defaultLogLevel=error',
]

export const kafka: Service = {
  title: 'Kafka',
  image: `apache/kafka:${VERSION}`,
  ports: [
    { name: 'kafka', variable: 'KAFKA_PORT', port: 9092 },
    { name: 'sasl', variable: 'KAFKA_SASL_PORT', port: 9094 },
  ],
  url: (port) => `kafka://127.0.0.1:${port}`,
  answers: greeting(WHERE_ARE_THE_COORDINATORS, isServing),
  startLimitMs: 90_000,
  keepsData: true,
  compose: {
    comment: 'Clients reconnect to the advertised address, so it must be the port as seen from outside.',
    environment: environment({
      ...SETTINGS,
      'controller.quorum.voters': '1@kafka:9093',
      'inter.broker.listener.name': 'INTERNAL',
      listeners:
        'HOST://:${KAFKA_PORT:-9092},CREDENTIALS://:${KAFKA_SASL_PORT:-9094},INTERNAL://:9091,CONTROLLER://:9093',
      'advertised.listeners':
        'HOST://127.0.0.1:${KAFKA_PORT:-9092},CREDENTIALS://127.0.0.1:${KAFKA_SASL_PORT:-9094},INTERNAL://kafka:9091',
    }),
    healthcheck: {
      test: ['CMD', '/opt/kafka/bin/kafka-broker-api-versions.sh', '--bootstrap-server', 'kafka:9091'],
      interval: '5s',
      timeout: '10s',
      retries: 12,
      start_period: '10s',
    },
    // PLAIN's users are settings; SCRAM's lie in the cluster's own data.
    afterStart: users.map(({ username, password }) => [
      '/opt/kafka/bin/kafka-configs.sh',
      '--bootstrap-server',
      'kafka:9091',
      '--alter',
      '--entity-type',
      'users',
      '--entity-name',
      username,
      '--add-config',
      SCRAM.map((mechanism) => `${mechanism}=[password=${password}]`).join(','),
    ]),
  },
  native: {
    programs: [java(17), { name: 'mvn' }],
    packages: ['default-jre-headless', 'maven'],
    elsewhere: 'macOS: brew install openjdk maven',
    jars: [
      `org.apache.kafka:kafka_2.13:${VERSION}`,
      `org.apache.kafka:kafka-tools:${VERSION}`,
      // It writes to stderr, which is our log.
      'org.slf4j:slf4j-simple:1.7.36',
    ],
    ownPorts: ['sasl', 'controller'],
    files: ({ data, ports }) => ({
      'server.properties': properties({
        ...SETTINGS,
        'controller.quorum.voters': `1@127.0.0.1:${ports['controller']}`,
        'inter.broker.listener.name': 'HOST',
        listeners: `${listeners(ports)},CONTROLLER://127.0.0.1:${ports['controller']}`,
        'advertised.listeners': listeners(ports),
        'log.dirs': data,
      }),
    }),
    // It names the cluster, once for the life of the data.
    format: {
      unless: 'data/meta.properties',
      launch: ({ folder, jars }) => ({
        program: 'java',
        args: [
          ...KAFKA_TOOL_FLAGS,
          '-cp',
          jars,
          'kafka.tools.StorageTool',
          'format',
          '--ignore-formatted',
          '--cluster-id',
          clusterId(),
          '--config',
          `${folder}/server.properties`,
          ...users
            .flatMap(({ username, password }) => scram(username, password))
            .flatMap((each) => ['--add-scram', each]),
        ],
      }),
    },
    processes: ({ folder, logs, jars }) => [
      {
        role: 'server',
        program: 'java',
        args: [
          ...jvm('512m'),
          `-XX:ErrorFile=${logs}/hs_err.log`,
          ...Object.entries(LOGGED).map(([name, value]) => `-Dorg.slf4j.simpleLogger.${name}=${value}`),
          '-cp',
          jars,
          'kafka.Kafka',
          `${folder}/server.properties`,
        ],
      },
    ],
  },
}
