// Every adapter, and what it says of itself.
import { kafka } from '@polybus/kafka'
import { memory } from '@polybus/memory'
import { rabbitmq } from '@polybus/rabbitmq'
import { redis } from '@polybus/redis'
import { sqs } from '@polybus/sqs'
// Not public, and the same file that the package holds.
import { DEFAULT_MAX_BYTES } from '../../packages/core/dist/channel.js'

// Capabilities depend on the server, so that of a real broker they are those of the versions in docker-compose.yml.
export const adapters = [
  memory(),
  redis('redis://localhost:6379'),
  rabbitmq('amqp://localhost:5672'),
  kafka('kafka://localhost:9092'),
  sqs('sqs://eu-central-1'),
].map((adapter) => ({
  name: adapter.name,
  keyed: adapter.capabilities(spec(true)),
  unkeyed: adapter.capabilities(spec(false)),
}))

/** @param {boolean} keyed @returns {import('@polybus/core').ChannelSpec} */
function spec(keyed) {
  return { name: 'docs', keyed, partitions: undefined, groups: ['docs'], maxBytes: DEFAULT_MAX_BYTES }
}
