// What a remote adapter has to do, in little: one connection, calls with limits, deliveries lost with the connection.
import { once } from 'node:events'
import { connect as open, type Socket } from 'node:net'
import { type Adapter, type Call, PolybusError, type Source, systemClock } from '@polybus/core'
import { memory } from '@polybus/memory'
import { type Frame, revive, reviveResults, speak } from './protocol.ts'
import { settings } from './server.ts'

const SILENCE_MS = 3000
const clock = systemClock()

interface Connection {
  readonly socket: Socket
  ask(name: string, args: readonly unknown[], signal?: AbortSignal): Promise<never>
  readonly feeds: Map<number, { source: Source; held: Map<number, object>; tokenOf(id: number): object }>
  /** Of each feed, as last told. */
  readonly lanes: Map<number, readonly string[] | null>
  readonly alive: () => boolean
  /** Core's, to be told that it is gone. */
  onLost: ((error: PolybusError) => void) | undefined
}

/** `log`: as memory's `singleSettle: false`, with lanes by membership. */
export function served(address: { host: string; port: number }, { log = false } = {}): Adapter {
  const local = memory({ name: `served-facts-${log}`, ...settings(log) })
  let now: Connection | undefined
  const lost = (text: string): PolybusError => new PolybusError('CONNECTION_FAILED', text, { sent: 'no' })
  const ask = (name: string, args: readonly unknown[], signal?: AbortSignal): Promise<never> =>
    now?.alive() ? now.ask(name, args, signal) : Promise.reject(lost('not connected'))
  const { capabilities } = local

  return {
    name: 'served',
    seam: 1,
    limits: local.limits,
    capabilities: (channel) => ({ ...capabilities(channel), processes: true, rewind: [] }),
    size: (message) => local.size(message),
    async connect({ signal, onLost, ...call }) {
      if (!now?.alive()) now = await dial(address, signal)
      now.onLost = onLost
      await ask('connect', [call, log], signal)
    },
    send: async (batch, { signal }) => reviveResults(await ask('send', [batch], signal)),
    topology: {
      plan: (channels, { signal }) => ask('plan', [channels], signal),
      apply: (changes, { signal }) => ask('apply', [changes], signal),
    },
    stats: { read: (channel, group, { signal }) => ask('stats', [channel, group], signal) },
    browse: {
      async open(channel, group, { signal }) {
        const session: number = await ask('browse', [channel, group], signal)
        return {
          next: (limit, call) => ask('next', [session, limit], call.signal),
          remove: async (positions, call) => reviveResults(await ask('remove', [session, positions], call.signal)),
          close: () => ask('endBrowse', [session]),
        }
      },
    },
    async subscribe(source, { signal }) {
      const on = now
      if (!on) throw lost('not connected')
      const { onLost: _, onRevoke: __, ...rest } = source
      const id: number = await on.ask('subscribe', [rest], signal)
      const held = new Map<number, object>()
      const tokenOf = (token: number): object => {
        const known = held.get(token) ?? { id: token }
        held.set(token, known)
        return known
      }
      on.feeds.set(id, { source, held, tokenOf })
      const numbers = (tokens: readonly unknown[]): readonly number[] =>
        tokens.map((token) => (token as { id: number }).id)
      return {
        async receive(max, call: Call) {
          const deliveries = (await on.ask('receive', [id, max], call.signal)) as readonly { token: number }[]
          return deliveries.map((delivery) => ({ ...delivery, token: tokenOf(delivery.token) })) as never
        },
        async settle(batch, call) {
          const plainBatch = batch.map((each) => ({ ...each, token: (each.token as { id: number }).id }))
          return reviveResults(await on.ask('settle', [id, plainBatch], call.signal))
        },
        extend: async (tokens, call) => reviveResults(await on.ask('extend', [id, numbers(tokens)], call.signal)),
        backlog: (call) => on.ask('backlog', [id], call.signal),
        drain: (call) => on.ask('drain', [id], call.signal),
        state: () => ({ connected: on.alive(), lanes: on.lanes.get(id) ?? null, buffered: 0 }),
        async close() {
          if (on.alive()) await on.ask('unsubscribe', [id])
        },
      }
    },
    async close() {
      if (!now?.alive()) return
      await ask('close', []).catch(() => {})
      now.socket.destroy()
    },
  }
}

/** As a producer that knows nothing of Polybus, past every proxy. */
export async function inject(
  address: { host: string; port: number },
  namespace: string,
  ...args: readonly unknown[]
): Promise<void> {
  const { signal } = new AbortController()
  const connection = await dial(address, signal)
  await connection.ask('connect', [{ namespace, service: 'foreign', topology: 'none' }])
  await connection.ask('inject', args)
  await connection.ask('close', [])
  connection.socket.destroy()
}

async function dial({ host, port }: { host: string; port: number }, signal: AbortSignal): Promise<Connection> {
  const socket = open({ host, port, noDelay: true })
  const waiting = new Map<number, { done(value: never): void; fail(error: Error): void }>()
  const feeds: Connection['feeds'] = new Map()
  const lanes: Connection['lanes'] = new Map()
  let alive = true
  let ids = 0
  // It may end before there is anything to tell of it.
  let connection = undefined as Connection | undefined
  socket.on('error', () => {})
  const tell = speak(socket, ({ kind, id, value, error, feed, tokens = [], args = [] }: Frame) => {
    if (kind === 'answer') {
      for (const [number, now] of args as [number, string[] | null][]) lanes.set(number, now)
      const call = waiting.get(id)
      waiting.delete(id)
      return error ? call?.fail(revive(error)) : call?.done(value as never)
    }
    const known = feeds.get(feed ?? 0)
    if (!known) return
    // What comes in one piece with the answer of a receive is heard before core has those deliveries: they are lost on their way.
    const own = tokens.map(known.tokenOf)
    if (kind === 'lost') return known.source.onLost(own)
    const over = (): void => tell({ kind: 'revoked', id })
    known.source.onRevoke(own).then(over, over)
  })
  const end = (): void => {
    if (!alive) return
    alive = false
    socket.destroy()
    const error = new PolybusError('CONNECTION_FAILED', 'the connection was lost', { sent: 'unknown' })
    for (const { fail } of waiting.values()) fail(error)
    waiting.clear()
    for (const { source, held } of feeds.values()) if (held.size > 0) source.onLost([...held.values()])
    connection?.onLost?.(error)
  }
  socket.on('close', end)
  signal.addEventListener('abort', end)
  await once(socket, 'connect', { signal })
  signal.removeEventListener('abort', end)
  connection = {
    socket,
    feeds,
    lanes,
    onLost: undefined,
    alive: () => alive,
    ask(name, args, callSignal) {
      if (!alive) return Promise.reject(new PolybusError('CONNECTION_FAILED', 'not connected', { sent: 'no' }))
      const id = ++ids
      return new Promise<never>((done, fail) => {
        // Silence is no answer: the connection is given up.
        const timer = clock.timer(SILENCE_MS, end)
        const abort = (): void => tell({ kind: 'abort', id })
        const over = (): void => {
          timer.cancel()
          callSignal?.removeEventListener('abort', abort)
        }
        waiting.set(id, {
          done: (value) => (over(), done(value)),
          fail: (error) => (over(), fail(error)),
        })
        tell({ kind: 'call', id, name, args })
        callSignal?.addEventListener('abort', abort)
        if (callSignal?.aborted) abort()
      })
    },
  }
  return connection
}
