// Before a consumer starts its codec and its store may want a say: whether the schema is registered, and the tables are there.
import type { ChannelDefinition } from './channel.ts'
import { type Clock, sleep } from './clock.ts'
import { asPolybusError, PolybusError } from './errors.ts'
import type { IdempotencyStore } from './idempotency.ts'
import { within } from './within.ts'

const RETRY_FIRST_MS = 50
const RETRY_MAX_MS = 2000

/**
 * Resolves when the codec agrees. Where it cannot say, it is asked again until the limit.
 *
 * @throws {PolybusError} what the codec said, with the channel's name before it.
 */
export async function ready({ codec, spec, known }: ChannelDefinition, clock: Clock, limitMs: number): Promise<void> {
  if (!codec.ready) return
  const types = known.size > 0 ? [...known] : [undefined]
  let away: PolybusError | undefined
  const ask = async (signal: AbortSignal): Promise<void> => {
    for (let failures = 0; !signal.aborted; failures++)
      try {
        for (const type of types) await codec.ready?.({ channel: spec.name, type })
        return
      } catch (error) {
        const said = asPolybusError(error, 'SCHEMA_INVALID')
        if (!said.retryable) throw said
        away = said
        await sleep(clock, Math.min(RETRY_FIRST_MS * 2 ** failures, RETRY_MAX_MS), signal)
      }
  }
  try {
    await within(clock, limitMs, ask)
  } catch (error) {
    const late = PolybusError.is(error, 'CONNECTION_FAILED')
    const said = late ? away : asPolybusError(error, 'SCHEMA_INVALID')
    const why = said?.message ?? `its codec was not ready within ${limitMs} ms.`
    throw new PolybusError(said?.code ?? 'CONNECT_TIMEOUT', `Channel '${spec.name}': ${why}`, { cause: said })
  }
}

/** Of a store: one that is away says nothing against the start. */
export async function storeReady(
  store: IdempotencyStore<unknown> | undefined,
  clock: Clock,
  limitMs: number,
): Promise<void> {
  if (!store?.ready) return
  try {
    await within(clock, limitMs, async () => store.ready?.())
  } catch (error) {
    const said = asPolybusError(error, 'STORE_UNAVAILABLE')
    if (!said.retryable) throw said
  }
}
