const VARIABLE = 'POLYBUS_KAFKA_SERVER'
const SERVERS = ['kafka', 'redpanda'] as const

/**
 * The server that Kafka's suite runs on: `POLYBUS_KAFKA_SERVER=redpanda` makes it Redpanda, which needs a container engine.
 *
 * @throws {Error} where it names another.
 * @example
 * const broker = await startBroker(kafkaServer(), { instance: 'conformance' })
 */
export function kafkaServer(env: NodeJS.ProcessEnv = process.env): (typeof SERVERS)[number] {
  const wanted = env[VARIABLE] || 'kafka'
  const server = SERVERS.find((name) => name === wanted)
  if (!server) throw new Error(`${VARIABLE}: unknown server ${wanted}. Known: ${SERVERS.join(', ')}.`)
  return server
}
