// Kafka's own tools, for tests that compare what we say with what they say.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { placeOf, readState } from './cache.ts'
import { composeArgs } from './compose.ts'
import { scoped } from './current-run.ts'
import { KAFKA_TOOL_FLAGS } from './kafka.ts'
import { provide } from './provisions.ts'
import { saidBy } from './said-by.ts'
import { services } from './services.ts'

const LIMIT_MS = 60_000

/**
 * Runs one of Kafka's own command-line tools against an instance that `startBroker('kafka', { instance })` started, natively
 * or in its container. Answers what it printed on stdout. It takes a second or two: each run starts a Java.
 *
 * @param className the tool's class; its scripts, `kafka-consumer-groups.sh` for one, name theirs.
 * @param args all but `--bootstrap-server`.
 * @throws {Error} with what it printed, where it ends with another code than 0 or not within `limitMs` (default 60,000).
 * @example
 * const told = await kafkaTool('conformance', 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand', [
 *   '--describe', '--group', 'shop.orders.billing',
 * ])
 */
export async function kafkaTool(
  instance: string,
  className: string,
  args: readonly string[],
  { limitMs = LIMIT_MS, signal }: { readonly limitMs?: number; readonly signal?: AbortSignal } = {},
): Promise<string> {
  const place = placeOf('kafka', scoped(instance))
  const state = readState(place)
  const port = state?.ports['kafka']
  const { native } = services.kafka
  if (!state || port === undefined || !native) throw new Error(`There is no Kafka of instance '${instance}'.`)
  const all = [className, '--bootstrap-server', `127.0.0.1:${port}`, ...args]
  const options = { timeout: limitMs, maxBuffer: 16 * 2 ** 20, ...(signal && { signal }) }
  try {
    if (state.by !== 'native') {
      const inside = composeArgs(place, 'exec', '--no-TTY', 'kafka', '/opt/kafka/bin/kafka-run-class.sh', ...all)
      return (await promisify(execFile)(state.by, inside, options)).stdout
    }
    const { programs, jars } = await provide('kafka', native, console.error, signal)
    const java = programs['java'] ?? 'java'
    return (await promisify(execFile)(java, [...KAFKA_TOOL_FLAGS, '-cp', jars, ...all], options)).stdout
  } catch (error) {
    signal?.throwIfAborted()
    throw new Error(`${className} failed: ${saidBy(error)}`, { cause: error })
  }
}
