// The one place for images, ports and settings. docker-compose.yml is written from it (`npm run brokers -- compose`),
// native servers are started from it, and a new service is one more entry, in a file of its own where it is long.
import { kafka } from './kafka.ts'
import { postgres } from './postgres.ts'
import { greeting } from './probe.ts'
import { redpanda } from './redpanda.ts'
import { registry } from './registry.ts'
import type { Service } from './service.ts'
import { sqs } from './sqs.ts'

// Confirmed means on disk, or a crash loses what a publish promised; and full means refused, never evicted.
export const REDIS = { appendonly: 'yes', appendfsync: 'always', save: '', 'maxmemory-policy': 'noeviction' }
export const redisFlags = (settings: Readonly<Record<string, string | number>>): readonly string[] =>
  Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])

const RABBITMQ_USER = { user: 'guest', password: 'guest' }
const slow = { interval: '5s', timeout: '10s', retries: 12, start_period: '10s' }
const quick = { interval: '2s', timeout: '3s', retries: 15 }

export type BrokerName = 'redis' | 'rabbitmq' | 'kafka' | 'redpanda' | 'sqs' | 'registry' | 'postgres'

export const services: Readonly<Record<BrokerName, Service>> = {
  redis: {
    title: 'Redis',
    image: 'redis:7',
    ports: [{ name: 'redis', variable: 'REDIS_PORT', port: 6379, inside: 6379 }],
    url: (port) => `redis://127.0.0.1:${port}`,
    answers: greeting('PING\r\n', (heard) => heard.startsWith('+PONG')),
    startLimitMs: 30_000,
    keepsData: true,
    compose: {
      comment: 'Confirmed means on disk, or a crash loses what a publish promised.',
      command: ['redis-server', ...redisFlags(REDIS)],
      healthcheck: { test: ['CMD', 'redis-cli', 'ping'], ...quick },
    },
    native: {
      // Sentinel is for sentinels.ts: no image has to be had for it.
      programs: [{ name: 'redis-server' }, { name: 'redis-sentinel' }],
      packages: ['redis-server', 'redis-sentinel'],
      elsewhere: 'macOS: brew install redis',
      processes: ({ data, ports }) => [
        {
          role: 'server',
          program: 'redis-server',
          args: redisFlags({ ...REDIS, port: ports['redis'] ?? 0, bind: '127.0.0.1', dir: data, daemonize: 'no' }),
        },
      ],
    },
  },

  rabbitmq: {
    title: 'RabbitMQ',
    image: 'rabbitmq:4-management',
    ports: [
      { name: 'amqp', variable: 'RABBITMQ_PORT', port: 5672, inside: 5672 },
      { name: 'management', variable: 'RABBITMQ_MANAGEMENT_PORT', port: 15_672, inside: 15_672 },
    ],
    url: (port) => `amqp://${RABBITMQ_USER.user}:${RABBITMQ_USER.password}@127.0.0.1:${port}`,
    // The protocol's own first words; it answers with the method connection.start (10, 10) on channel 0.
    answers: greeting(
      'AMQP\0\0\x09\x01',
      (heard) => heard.startsWith('\x01\0\0') && heard.startsWith('\0\x0a\0\x0a', 7),
    ),
    startLimitMs: 90_000,
    keepsData: true,
    compose: {
      hostname: 'rabbitmq',
      environment: {
        RABBITMQ_DEFAULT_USER: RABBITMQ_USER.user,
        RABBITMQ_DEFAULT_PASS: RABBITMQ_USER.password,
      },
      healthcheck: { test: ['CMD', 'rabbitmq-diagnostics', '-q', 'check_port_connectivity'], ...slow },
    },
    native: {
      // The one on Debian's PATH is a wrapper that changes the user and clears the environment.
      programs: [{ name: 'rabbitmq-server', folders: ['/usr/lib/rabbitmq/bin'] }, { name: 'epmd' }],
      packages: ['rabbitmq-server'],
      elsewhere: 'macOS: brew install rabbitmq',
      ownPorts: ['epmd', 'dist'],
      log: 'server.log',
      files: ({ ports }) => ({
        'rabbitmq.conf': lines(
          `listeners.tcp.1 = 127.0.0.1:${ports['amqp']}`,
          `default_user = ${RABBITMQ_USER.user}`,
          `default_pass = ${RABBITMQ_USER.password}`,
          'log.console = false',
          'log.file.level = info',
          'log.file.rotation.size = 10485760',
          'log.file.rotation.count = 2',
        ),
        enabled_plugins: '[].\n',
      }),
      processes: ({ folder, data, logs, ports }) => {
        // Its own name server: one that the node starts by itself stays behind when the node is killed.
        const epmd = { ERL_EPMD_PORT: String(ports['epmd']), ERL_EPMD_ADDRESS: '127.0.0.1' }
        return [
          { role: 'epmd', program: 'epmd', args: [], env: epmd },
          {
            role: 'server',
            program: 'rabbitmq-server',
            args: [],
            env: {
              ...epmd,
              // The cookie lies here.
              HOME: data,
              // Makes the script become the server, instead of a parent that would have to be killed too.
              RUNNING_UNDER_SYSTEMD: 'true',
              RABBITMQ_NODENAME: 'polybus@localhost',
              RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
              RABBITMQ_NODE_PORT: String(ports['amqp']),
              RABBITMQ_DIST_PORT: String(ports['dist']),
              RABBITMQ_MNESIA_BASE: `${data}/mnesia`,
              RABBITMQ_LOG_BASE: logs,
              RABBITMQ_LOGS: `${logs}/server.log`,
              RABBITMQ_CONFIG_FILE: `${folder}/rabbitmq.conf`,
              RABBITMQ_ENABLED_PLUGINS_FILE: `${folder}/enabled_plugins`,
              RABBITMQ_PID_FILE: `${folder}/rabbitmq.pid`,
              RABBITMQ_CONF_ENV_FILE: '/dev/null',
              ERL_CRASH_DUMP_BYTES: '1000000',
              ERL_CRASH_DUMP: `${logs}/erl_crash.dump`,
              // Two schedulers that don't spin: several of them share a small machine. Erlang's own port on loopback.
              RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+S 2:2 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}',
            },
          },
        ]
      },
    },
  },

  kafka,

  redpanda,

  sqs,

  registry,

  postgres,
}

export const brokerNames: readonly BrokerName[] = Object.keys(services).filter(isBroker)

/** Without those that are only started by name. */
export const usualNames: readonly BrokerName[] = brokerNames.filter(
  (name) => services[name].compose.profile === undefined,
)

export function isBroker(name: string): name is BrokerName {
  return Object.hasOwn(services, name)
}

function lines(...all: readonly string[]): string {
  return `${all.join('\n')}\n`
}
