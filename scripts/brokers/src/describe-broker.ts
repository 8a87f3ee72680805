import { type RunningBroker, startBroker } from './broker.ts'
import { requiredBrokers } from './required.ts'
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
export async function describeBroker(
  name: BrokerName,
  body: (broker: () => RunningBroker) => void | Promise<void>,
  { instance = 'tests' }: { readonly instance?: string } = {},
): Promise<void> {
  const { beforeAll, beforeEach, describe } = await import('vitest')
  const required = requiredBrokers().includes(name)
  describe(`on ${services[name].title}`, async () => {
    let broker: RunningBroker | undefined
    let problem: Error | undefined
    beforeAll(async () => {
      try {
        broker = await startBroker(name, { instance })
      } catch (error) {
        problem = error instanceof Error ? error : new Error(String(error))
      }
    }, START_LIMIT_MS)
    beforeEach(({ skip }) => {
      if (problem instanceof BrokerUnavailable && !required)
        skip(`NOT TESTED on ${services[name].title}. ${problem.message}`)
      if (problem) throw problem
    })
    await body(() => {
      if (!broker) throw new Error(`${name} is there only while tests run: ask for it in a test or a hook.`)
      return broker
    })
  })
}
