import { type RunningBroker, startBroker } from './broker.ts'
import { requiredBrokers } from './required.ts'
import { type Sentinels, startSentinels } from './sentinels.ts'
import { type BrokerName, services } from './services.ts'
import { BrokerUnavailable } from './unavailable.ts'

// An installation may come first.
const START_LIMIT_MS = 12 * 60_000

/**
 * Registers vitest tests that need a real broker, which is started before them. Where it cannot be had they are skipped, with
 * the reason, or fail where `POLYBUS_REQUIRE` names it. A broker that is there but does not start always fails them.
 *
 * @example
 * await describeBroker('redis', (redis) => {
 *   test('redis: answers', () => ping(redis().url))
 * })
 * @example
 * await describeBroker('redis', () => runConformance({ name: 'redis', harness }), { instance: 'conformance' })
 */
export function describeBroker(
  name: BrokerName,
  body: (broker: () => RunningBroker) => void | Promise<void>,
  { instance = 'tests' }: { readonly instance?: string } = {},
): Promise<void> {
  return describeServer(name, services[name].title, () => startBroker(name, { instance }), body)
}

/** As {@link describeBroker}, of Redis behind sentinels. */
export function describeSentinels(
  body: (sentinels: () => Sentinels) => void | Promise<void>,
  { instance }: { readonly instance: string },
): Promise<void> {
  return describeServer('redis', `${services.redis.title} behind Sentinel`, () => startSentinels({ instance }), body)
}

async function describeServer<Server>(
  name: BrokerName,
  title: string,
  start: () => Promise<Server>,
  body: (server: () => Server) => void | Promise<void>,
): Promise<void> {
  const { beforeAll, beforeEach, describe } = await import('vitest')
  const required = requiredBrokers().includes(name)
  describe(`on ${title}`, async () => {
    let server: Server | undefined
    let problem: Error | undefined
    beforeAll(async () => {
      try {
        server = await start()
      } catch (error) {
        problem = error instanceof Error ? error : new Error(String(error))
      }
    }, START_LIMIT_MS)
    beforeEach(({ skip }) => {
      if (problem instanceof BrokerUnavailable && !required) skip(`NOT TESTED on ${title}. ${problem.message}`)
      if (problem) throw problem
    })
    await body(() => {
      if (!server) throw new Error(`${name} is there only while tests run: ask for it in a test or a hook.`)
      return server
    })
  })
}
