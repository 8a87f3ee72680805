// Redpanda, which speaks Kafka's protocol: the suite of the Kafka adapter runs on it too, see `kafkaServer`.
import { kafka } from './kafka.ts'
import type { Service } from './service.ts'

// Its defaults are made for clusters: tests would wait for them. `npm run brokers` sets them, after each start.
const SETTINGS = { group_min_session_timeout_ms: 1000, group_initial_rebalance_delay: 0 }

export const redpanda: Service = {
  title: 'Redpanda',
  image: 'redpandadata/redpanda:v26.1.9',
  ports: [{ name: 'kafka', variable: 'REDPANDA_PORT', port: 19_092 }],
  url: kafka.url,
  answers: kafka.answers,
  startLimitMs: 60_000,
  keepsData: true,
  compose: {
    comment: 'Only by name, instead of Kafka: docker compose --profile redpanda up --wait redpanda',
    profile: 'redpanda',
    command: [
      'redpanda',
      'start',
      '--overprovisioned',
      '--smp=1',
      '--memory=1G',
      '--reserve-memory=0M',
      '--node-id=0',
      '--check=false',
      '--rpc-addr=0.0.0.0:33145',
      '--advertise-rpc-addr=redpanda:33145',
      '--kafka-addr=HOST://0.0.0.0:${REDPANDA_PORT:-19092},INTERNAL://0.0.0.0:9092',
      '--advertise-kafka-addr=HOST://127.0.0.1:${REDPANDA_PORT:-19092},INTERNAL://redpanda:9092',
    ],
    healthcheck: {
      test: ['CMD-SHELL', 'rpk cluster health | grep -E Healthy:.+true'],
      interval: '5s',
      timeout: '10s',
      retries: 12,
      start_period: '10s',
    },
    afterStart: Object.entries(SETTINGS).map(([name, value]) => [
      'rpk',
      'cluster',
      'config',
      'set',
      name,
      String(value),
    ]),
  },
}
