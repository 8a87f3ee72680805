// SQS: ElasticMQ, in memory. The container and the native server get the same settings.
import { java, jvm } from './java.ts'
import { greeting } from './probe.ts'
import type { Service } from './service.ts'

const VERSION = '1.6.14'

const SETTINGS = {
  // As AWS refuses: names, sizes, counts, characters.
  'rest-sqs.sqs-limits': 'strict',
  'rest-stats.enabled': 'false',
  'queues-storage.enabled': 'false',
  // A queue's URL names the host and port that it was asked at, so it leads through whatever lies between.
  'node-address.host': '*',
}

const flags = (settings: Readonly<Record<string, string | number>>): readonly string[] =>
  Object.entries(settings).map(([name, value]) => `-D${name}=${value}`)

export const sqs: Service = {
  title: 'SQS (ElasticMQ)',
  image: `softwaremill/elasticmq:${VERSION}`,
  ports: [{ name: 'sqs', variable: 'SQS_PORT', port: 9324, inside: 9324 }],
  url: (port) => `sqs://127.0.0.1:${port}`,
  answers: greeting('GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n', (heard) =>
    heard.startsWith('HTTP/'),
  ),
  startLimitMs: 60_000,
  keepsData: false,
  compose: {
    comment: 'Its queues and their messages are gone when it ends.',
    command: flags(SETTINGS),
    healthcheck: {
      test: [
        'CMD-SHELL',
        'wget -q -O /dev/null http://127.0.0.1:9324/health || curl -fsS http://127.0.0.1:9324/health',
      ],
      interval: '2s',
      timeout: '3s',
      retries: 15,
    },
  },
  native: {
    programs: [java(11), { name: 'mvn' }],
    packages: ['default-jre-headless', 'maven'],
    elsewhere: 'macOS: brew install openjdk maven',
    jars: [`org.elasticmq:elasticmq-server_2.13:${VERSION}`],
    processes: ({ logs, ports, jars }) => [
      {
        role: 'server',
        program: 'java',
        args: [
          ...jvm('256m'),
          `-XX:ErrorFile=${logs}/hs_err.log`,
          ...flags({ ...SETTINGS, 'rest-sqs.bind-hostname': '127.0.0.1', 'rest-sqs.bind-port': ports['sqs'] ?? 0 }),
          '-cp',
          jars,
          'org.elasticmq.server.Main',
        ],
      },
    ],
  },
}
