// connect -> topology -> ready, again after every failure. It owns the generation number: what carries an older one is stale.
import type { Adapter, Capabilities, ChannelSpec, ConnectCall, Hazard } from './adapter.ts'
import type { ChannelDefinition } from './channel.ts'
import type { Clock } from './clock.ts'
import type { Logger } from './api.ts'
import { sleep } from './clock.ts'
import { asPolybusError, describeError, PolybusError } from './errors.ts'
import type { MaybePromise } from './idempotency.ts'
import { within } from './within.ts'

export interface SupervisorOptions {
  readonly adapter: Adapter
  readonly clock: Clock
  readonly call: Omit<ConnectCall, 'signal'>
  readonly connectTimeoutMs: number
  readonly strict: boolean
  readonly log: Logger
  readonly onUp: (up: boolean) => void
  readonly onReconnect: (error: PolybusError) => void
}

export interface Supervisor {
  connect(): Promise<void>
  up(signal: AbortSignal): Promise<number | undefined>
  broken(error: PolybusError, generation: number): void
  /**
   * For calls that only look: each waits for the connection, and tells when it finds that gone, because nobody else may.
   * `again`: tried until it is answered or the time is over.
   */
  ask<T>(limitMs: number, run: (signal: AbortSignal) => Promise<T>, options?: AskOptions): Promise<T>
  /** Topology, capabilities and hazards of a channel: at its first use, and after each reconnect. */
  ensure(channel: ChannelDefinition): MaybePromise<Capabilities>
  reasons(): readonly { readonly down: boolean; readonly text: string }[]
  readonly generation: number
  close(): Promise<void>
}

export interface AskOptions {
  readonly again?: boolean
  readonly signal?: AbortSignal | undefined
}

interface ChannelState {
  readonly spec: ChannelSpec
  capabilities: Capabilities | undefined
  ensuring: Promise<Capabilities> | undefined
  hazards: readonly Hazard[]
  error: PolybusError | undefined
}

const RETRY_FIRST_MS = 50
/** Consuming resumes within 5 s of a broker's return. */
const RETRY_MAX_MS = 2000
const ATTEMPT_MS = 10_000
const CLOSE_MS = 5000

export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { adapter, clock, log } = options
  const closing = new AbortController()
  /** By what a channel is made of: programs may make the same one again and again. */
  const channels = new Map<string, ChannelState>()
  const states = new WeakMap<ChannelDefinition, ChannelState>()
  let state: 'connecting' | 'up' | 'down' | 'closed' = 'connecting'
  let generation = 0
  let lastError: PolybusError | undefined
  /** The connection is gone again before its channels are set up. */
  let lostEarly: PolybusError | undefined
  const waiters = new Set<() => void>()

  const call = <T>(ms: number, run: (signal: AbortSignal) => Promise<T>): Promise<T> =>
    within(clock, ms, run, closing.signal)
  const backoffMs = (failures: number): number =>
    failures === 0
      ? 0
      : Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(failures - 1, 10)) * (0.5 + Math.random() / 2)

  const wakeAll = (): void => {
    for (const wake of waiters) wake()
  }
  const rise = (): void => {
    state = 'up'
    generation++
    lastError = undefined
    wakeAll()
    options.onUp(true)
    if (lostEarly) broken(lostEarly, generation)
  }

  const dial = (signal: AbortSignal): Promise<void> => {
    const next = generation + 1
    lostEarly = undefined
    const onLost = (error: PolybusError): void => {
      if (generation < next) lostEarly = error
      else broken(error, next)
    }
    return adapter.connect({ ...options.call, signal, onLost })
  }
  const connect = async (): Promise<void> => {
    const deadline = clock.now() + options.connectTimeoutMs
    for (let failures = 0; ; failures++) {
      const left = deadline - clock.now()
      try {
        if (left <= 0)
          throw new PolybusError(
            'CONNECT_TIMEOUT',
            `${adapter.name} could not be reached within ${options.connectTimeoutMs} ms.${lastError ? ` Last: ${lastError.message}` : ''}`,
            { cause: lastError },
          )
        await call(left, dial)
        return rise()
      } catch (error) {
        const cause = asPolybusError(error, 'CONNECTION_FAILED')
        // That the time was over says less than what an earlier try met.
        if (!lastError || !cause.retryable || cause.code === 'CONNECT_TIMEOUT' || clock.now() < deadline)
          lastError = cause
        if (!cause.retryable || cause.code === 'CONNECT_TIMEOUT') throw cause
        await sleep(clock, Math.min(backoffMs(failures + 1), Math.max(0, deadline - clock.now())), closing.signal)
        if (closing.signal.aborted) throw lastError
      }
    }
  }

  const recover = async (): Promise<void> => {
    for (let failures = 0; !closing.signal.aborted; failures++) {
      await sleep(clock, backoffMs(failures), closing.signal)
      try {
        await call(ATTEMPT_MS, dial)
        break
      } catch (error) {
        lastError = asPolybusError(error, 'CONNECTION_FAILED')
        log.warn(
          { adapter: adapter.name, failures: failures + 1, err: describeError(error) },
          'the broker cannot be reached',
        )
      }
    }
    // One channel that cannot be set up must not hold the others.
    await Promise.all(
      [...channels.values()].map((known) =>
        setUp(known).catch((error: unknown) =>
          log.error({ channel: known.spec.name, err: describeError(error) }, 'the channel could not be set up again'),
        ),
      ),
    )
    if (closing.signal.aborted) return
    rise()
    // Those are tried on, also where nobody publishes: a consumer may well receive already.
    for (const known of channels.values()) if (known.error?.retryable) void ensured(known)
  }

  const refuseHazards = (spec: ChannelSpec, { persistent }: Capabilities, hazards: readonly Hazard[]): void => {
    const texts = hazards.map(({ text }) => text)
    // Nobody is warned of it without being asked: who takes an embedded broker knows.
    if (!persistent) texts.unshift('messages end with this process')
    if (texts.length > 0)
      throw new PolybusError(
        'HAZARD',
        `Channel '${spec.name}' on ${adapter.name}: ${texts.join('; ')}. Mend it on the server, or set durability: 'report'.`,
      )
  }
  const setUp = async (known: ChannelState): Promise<Capabilities> => {
    const { spec } = known
    try {
      const { topology } = adapter
      // Before anything is made, or published that no consumer could read.
      if (spec.keyed && !adapter.capabilities(spec).ordering)
        throw new PolybusError(
          'UNSUPPORTED',
          `${adapter.name} cannot do order by key for channel '${spec.name}' as it is configured. Nearest: a channel without a key.`,
        )
      if (topology && options.call.topology !== 'none') {
        await call(ATTEMPT_MS, async (signal) => {
          const { changes, conflicts } = await topology.plan([spec], { signal })
          const list = (items: readonly { readonly text: string }[]): string => items.map(({ text }) => text).join('; ')
          if (conflicts.length > 0)
            throw new PolybusError('TOPOLOGY_CONFLICT', `Channel '${spec.name}': ${list(conflicts)}.`)
          if (changes.length > 0 && options.call.topology === 'verify')
            throw new PolybusError(
              'TOPOLOGY_MISSING',
              `Channel '${spec.name}' needs what may not be created (topology: 'verify'): ${list(changes)}.`,
            )
          if (changes.length > 0) await topology.apply(changes, { signal })
        })
      }
      const capabilities = adapter.capabilities(spec)
      const hazards = adapter.hazards
        ? await call(ATTEMPT_MS, (signal) => adapter.hazards?.(spec, { signal }) ?? Promise.resolve([]))
        : []
      for (const { kind, text } of hazards)
        if (!known.hazards.some((other) => other.kind === kind)) log.warn({ channel: spec.name, hazard: kind }, text)
      known.hazards = hazards
      if (options.strict) refuseHazards(spec, capabilities, hazards)
      known.error = undefined
      known.capabilities = capabilities
      return capabilities
    } catch (error) {
      known.capabilities = undefined
      known.error = asPolybusError(error, 'CONNECTION_FAILED')
      throw known.error
    }
  }

  const up = (signal: AbortSignal): Promise<number | undefined> => {
    if (signal.aborted || state === 'closed') return Promise.resolve(undefined)
    if (state === 'up') return Promise.resolve(generation)
    return new Promise((resolve) => {
      const wake = (): void => {
        waiters.delete(wake)
        signal.removeEventListener('abort', wake)
        resolve(state === 'up' ? generation : undefined)
      }
      waiters.add(wake)
      signal.addEventListener('abort', wake)
    })
  }
  const broken = (error: PolybusError, of: number): void => {
    if (of !== generation || state !== 'up') return
    state = 'down'
    lastError = error
    options.onUp(false)
    options.onReconnect(error)
    recover().catch((cause: unknown) => log.error({ err: describeError(cause) }, 'a bug in Polybus: recovering failed'))
  }

  const ask: Supervisor['ask'] = (limitMs, run, { again = false, signal } = {}) =>
    within(
      clock,
      limitMs,
      async (limit) => {
        for (let failures = 1; ; failures++) {
          const at = await up(limit)
          if (at === undefined) throw limit.aborted ? limit.reason : new PolybusError('CLOSED', 'The bus is closed.')
          try {
            return await run(limit)
          } catch (error) {
            if (!PolybusError.is(error, 'CONNECTION_FAILED') || !error.retryable || limit.aborted) throw error
            broken(error, at)
            if (!again) throw error
            await sleep(clock, backoffMs(failures), limit)
          }
        }
      },
      signal,
    )

  /** Tried until it is there, or can't be: who waits for it has a deadline of his own. */
  const first = async (known: ChannelState): Promise<Capabilities> => {
    try {
      for (let failures = 1; ; failures++) {
        const at = await up(closing.signal)
        if (at === undefined) throw new PolybusError('CLOSED', 'The bus is closed.', { sent: 'no' })
        try {
          return await setUp(known)
        } catch (error) {
          const cause = asPolybusError(error, 'CONNECTION_FAILED')
          // Nothing of a message was sent yet.
          if (!cause.retryable) throw new PolybusError(cause.code, cause.message, { cause, sent: 'no' })
          if (cause.code === 'CONNECTION_FAILED') broken(cause, at)
          await sleep(clock, backoffMs(failures), closing.signal)
        }
      }
    } finally {
      known.ensuring = undefined
    }
  }

  const ensure = (channel: ChannelDefinition): MaybePromise<Capabilities> => {
    let known = states.get(channel)
    if (!known) {
      const { spec } = channel
      const made = JSON.stringify(spec)
      known = channels.get(made) ?? {
        spec,
        capabilities: undefined,
        ensuring: undefined,
        hazards: [],
        error: undefined,
      }
      channels.set(made, known)
      states.set(channel, known)
    }
    return ensured(known)
  }
  const ensured = (known: ChannelState): MaybePromise<Capabilities> => {
    if (known.capabilities) return known.capabilities
    if (!known.ensuring) {
      known.ensuring = first(known)
      known.ensuring.catch(() => {})
    }
    return known.ensuring
  }

  return {
    connect,
    up,
    broken,
    ask,
    ensure,
    reasons() {
      const reasons: { down: boolean; text: string }[] = []
      if (state === 'down' || state === 'connecting')
        reasons.push({ down: true, text: `${adapter.name}: disconnected${lastError ? `: ${lastError.message}` : ''}` })
      for (const { spec, error, hazards } of channels.values()) {
        const named = (text: string): string =>
          text.startsWith(`Channel '${spec.name}'`) ? text : `channel '${spec.name}': ${text}`
        if (error) reasons.push({ down: false, text: named(error.message) })
        for (const { text } of hazards) reasons.push({ down: false, text: named(text) })
      }
      return reasons
    },
    get generation() {
      return generation
    },
    async close() {
      state = 'closed'
      closing.abort(new PolybusError('CLOSED', 'The bus is closed.'))
      wakeAll()
      await within(clock, CLOSE_MS, () => adapter.close()).catch((error: unknown) =>
        log.warn({ adapter: adapter.name, err: describeError(error) }, 'the adapter did not close properly'),
      )
    },
  }
}
