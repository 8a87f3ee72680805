// What talks to SQS. HTTP has no connection: what stands for one is that the last round trip worked.
import { GetQueueUrlCommand, SQSClient, type SQSClientConfig } from '@aws-sdk/client-sqs'
import { type Call, type Clock, PolybusError, type Timer } from '@polybus/core'
import { aborted, closed, connectionFailed, failed, type Situation } from './errors.ts'
import { createGate, type Gate } from './gate.ts'
import type { Queue } from './layout.ts'
import type { Settings } from './options.ts'

/**
 * Polls, sends and settles have sockets of their own: fifty long polls would leave none to a publish. What keeps leases, and
 * what only looks, does not queue behind what is settled.
 */
export type Purpose = 'poll' | 'send' | 'settle' | 'keep'

export interface AskOptions {
  /** On top of the time-out: a long poll waits. */
  readonly waitMs?: number
  readonly situation?: Situation
}

export interface Link {
  readonly client: SQSClient
  readonly clock: Clock
  /** When something was answered last. */
  readonly answeredAt: number
  readonly settings: Settings
  /**
   * Runs one call of the SDK; rejects with ours. It is given up at its own deadline alone: where the caller's signal aborts
   * before, the caller hears so and the request goes on, because SQS would do what it was asked for anyway.
   */
  ask<T>(
    purpose: Purpose,
    run: (client: SQSClient, abortSignal: AbortSignal) => Promise<T>,
    call: Call,
    options?: AskOptions,
  ): Promise<T>
  /** Looked up once. Rejects with `TOPOLOGY_MISSING` where there is none. */
  url(queue: Queue, call: Call): Promise<string>
  /** It is gone, or may be another one. */
  forget(queue: Queue): void
  /** A round trip; after trouble over new sockets and with credentials that are looked up anew. */
  prove(queue: string, call: Call): Promise<void>
  close(): void
}

type Clients = Readonly<Record<Exclude<Purpose, 'keep'>, SQSClient>>

/** Sockets of polls: each waits for about a second, and each consumer has a few. */
const POLLS = 1000
const SOCKETS = 50
/** Requests under way at once, of a purpose. Ten entries each, and some ten milliseconds: that is thousands a second. */
const WIDTH = 16

export function openLink(settings: Settings, clock: Clock): Link {
  const urls = new Map<string, string>()
  const retired = new Map<Clients, Timer>()
  let clients = makeClients(settings)
  let proven = false
  let troubled = false
  let over = false
  let answeredAt = clock.now()

  const lifeMs = settings.requestTimeoutMs + settings.waitMs + 1000
  /** What is still on its way over them ends by its own deadline. */
  const retire = (old: Clients): void => {
    retired.set(
      old,
      clock.timer(lifeMs, () => {
        retired.delete(old)
        destroy(old, settings.client.requestHandler)
      }),
    )
  }
  const gates: Readonly<Partial<Record<Purpose, Gate>>> = {
    send: createGate(WIDTH),
    settle: createGate(WIDTH),
    keep: createGate(WIDTH),
  }
  const ask: Link['ask'] = (purpose, run, { signal }, { waitMs = 0, situation = {} } = {}) => {
    if (over) return Promise.reject(closed())
    if (signal.aborted) return Promise.reject(aborted('no'))
    const limit = new AbortController()
    const ms = settings.requestTimeoutMs + waitMs
    const request = <T>(
      resolve: (answer: T) => void,
      reject: (error: PolybusError) => void,
      asked: Promise<T>,
    ): void => {
      const fail = (error: unknown): void => {
        end()
        const cause = failed(error, 'unknown', { fixed: settings.fixedCredentials, ...situation })
        if (CONNECTION.has(cause.code)) {
          troubled = true
          gates[purpose]?.shut(connectionFailed(cause.message, 'no', cause))
        } else answeredAt = clock.now()
        reject(cause)
      }
      const timer = clock.timer(ms, () => {
        fail(connectionFailed(`no answer within ${ms} ms`, 'unknown'))
        limit.abort()
      })
      const onAbort = (): void => {
        signal.removeEventListener('abort', onAbort)
        reject(aborted('unknown'))
      }
      const end = (): void => {
        timer.cancel()
        signal.removeEventListener('abort', onAbort)
      }
      signal.addEventListener('abort', onAbort)
      asked.then((answer) => {
        end()
        answeredAt = clock.now()
        resolve(answer)
      }, fail)
    }
    const start = (): ReturnType<typeof run> => {
      if (over) return Promise.reject(closed())
      return new Promise((resolve, reject) => {
        request(resolve, reject, run(clients[purpose === 'keep' ? 'settle' : purpose], limit.signal))
      })
    }
    const gate = gates[purpose]
    return gate ? gate.pass(signal, start) : start()
  }

  return {
    get client() {
      return clients.settle
    },
    clock,
    settings,
    get answeredAt() {
      return answeredAt
    },
    ask,
    async url({ name, url }, call) {
      const known = url ?? urls.get(name)
      if (known !== undefined) return known
      const { QueueUrl = '' } = await ask(
        'keep',
        (client, abortSignal) => client.send(new GetQueueUrlCommand({ QueueName: name }), { abortSignal }),
        call,
        { situation: { what: `queue '${name}'` } },
      )
      urls.set(name, QueueUrl)
      return QueueUrl
    },
    forget: ({ name }) => void urls.delete(name),
    async prove(queue, call) {
      if (troubled) {
        retire(clients)
        clients = makeClients(settings)
        troubled = false
      }
      try {
        await ask(
          'keep',
          (client, abortSignal) => client.send(new GetQueueUrlCommand({ QueueName: queue }), { abortSignal }),
          call,
          { situation: { first: !proven } },
        )
      } catch (error) {
        // An answer all the same: it knows who asks, and there is no such queue, or it is none of theirs.
        if (!PolybusError.is(error, 'TOPOLOGY_MISSING') && !PolybusError.is(error, 'ACCESS_DENIED')) throw error
      }
      proven = true
    },
    close() {
      over = true
      for (const timer of retired.values()) timer.cancel()
      for (const old of [clients, ...retired.keys()]) destroy(old, settings.client.requestHandler)
      retired.clear()
    },
  }
}

/** Nobody answers, or does not know us any more. */
export const CONNECTION: ReadonlySet<string> = new Set(['CONNECTION_FAILED', 'AUTHENTICATION_FAILED'])

const isHandler = (given: SQSClientConfig['requestHandler']): boolean => given !== undefined && 'handle' in given

function makeClients({ region, endpoint, client, requestTimeoutMs, waitMs }: Settings): Clients {
  const { requestHandler: handler } = client
  const make = (maxSockets: number, polls = false): SQSClient =>
    new SQSClient({
      ...client,
      ...(region !== undefined && { region }),
      ...(endpoint !== undefined && { endpoint }),
      // Core alone tries again: a retry of the SDK would be a second message, or a second lease that nobody knows of.
      maxAttempts: 1,
      requestHandler: isHandler(handler)
        ? handler
        : {
            httpAgent: { keepAlive: true, maxSockets },
            httpsAgent: { keepAlive: true, maxSockets },
            connectionTimeout: requestTimeoutMs,
            ...handler,
            // requestTimeout alone only warns. Our own deadline comes first; this one is for what it cannot see.
            requestTimeout: requestTimeoutMs + (polls ? waitMs : 0) + 1000,
            throwOnRequestTimeout: true,
          },
    } as SQSClientConfig)
  return { poll: make(POLLS, true), send: make(SOCKETS), settle: make(SOCKETS) }
}

/** A handler that was given is its giver's to end. */
function destroy(clients: Clients, given: SQSClientConfig['requestHandler']): void {
  if (!isHandler(given)) for (const client of Object.values(clients)) client.destroy()
}
