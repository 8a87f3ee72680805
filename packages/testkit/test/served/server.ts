// The memory broker as a server: one adapter for each connection, which dies with it like a killed process.
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import type { BrowseSession, Delivery, Feed, Settlement, Source } from '@polybus/core'
import { memory, type MemoryOptions } from '@polybus/memory'
import { type Frame, plain, plainResults, speak } from './protocol.ts'

export const LEASE_MS = 1500
export const settings = (log: boolean): MemoryOptions =>
  log ? { abilities: { singleSettle: false } } : { leaseMs: LEASE_MS }

export async function serve(): Promise<number> {
  const server = createServer({ noDelay: true }, attend)
  server.unref()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as { port: number }).port
}

function attend(socket: Socket): void {
  let adapter: ReturnType<typeof memory> | undefined
  let namespace: string | undefined
  const feeds = new Map<number, Feed>()
  const sessions = new Map<number, BrowseSession>()
  const tokens = new Map<number, unknown>()
  const ids = new Map<unknown, number>()
  const aborts = new Map<number, AbortController>()
  const revokes = new Map<number, () => void>()
  let count = 0
  const tell = speak(socket, (frame) => void hear(frame))
  socket.on('error', () => {})
  socket.on('close', () => adapter?.faults.crash())

  /** Also of a token that is lost before its delivery is told: the adapter over there knows it then. */
  const idOf = (token: unknown): number => {
    const known = ids.get(token)
    if (known !== undefined) return known
    const id = ++count
    ids.set(token, id)
    tokens.set(id, token)
    return id
  }
  const calls: Record<string, (args: readonly any[], signal: AbortSignal) => unknown> = {
    connect([call, log], signal) {
      // A namespace is a broker of its own here, as in the memory harness.
      namespace ??= (call as { namespace: string }).namespace
      adapter ??= memory({ name: `served-${namespace}`, ...settings(log) })
      return adapter.connect({ ...(call as object), signal } as never)
    },
    send: async ([batch], signal) => plainResults((await adapter?.send(batch, { signal })) ?? []),
    plan: ([channels], signal) => adapter?.topology?.plan(channels, { signal }),
    apply: ([changes], signal) => adapter?.topology?.apply(changes, { signal }),
    stats: ([channel, group], signal) => adapter?.stats?.read(channel, group, { signal }),
    inject: ([channel, message]) => adapter?.faults.injectForeign(channel, message),
    async subscribe([source], signal) {
      const feed = ++count
      const made = await adapter?.subscribe(
        {
          ...(source as Source),
          onLost: (list) => tell({ kind: 'lost', id: 0, feed, tokens: list.map(idOf) }),
          onRevoke(list) {
            const id = ++count
            tell({ kind: 'revoke', id, feed, tokens: list.map(idOf) })
            return new Promise((resolve) => revokes.set(id, resolve))
          },
        },
        { signal },
      )
      if (made) feeds.set(feed, made)
      return feed
    },
    async receive([feed, max], signal) {
      const deliveries = (await feeds.get(feed)?.receive(max, { signal })) ?? []
      return deliveries.map((delivery: Delivery) => {
        const { message, lane, position, count: times, leaseMs } = delivery
        return { message, lane, position, count: times, leaseMs, token: idOf(delivery.token) }
      })
    },
    async settle([feed, batch], signal) {
      const settlements = (batch as readonly Settlement[]).map((each) => ({
        ...each,
        token: tokens.get(each.token as number),
      }))
      return plainResults((await feeds.get(feed)?.settle(settlements, { signal })) ?? [])
    },
    async extend([feed, list], signal) {
      const own = (list as readonly number[]).map((id) => tokens.get(id))
      return plainResults((await feeds.get(feed)?.extend?.(own, { signal })) ?? [])
    },
    backlog: ([feed], signal) => feeds.get(feed)?.backlog?.({ signal }) ?? null,
    drain: ([feed], signal) => feeds.get(feed)?.drain?.({ signal }),
    unsubscribe: ([feed]) => feeds.get(feed)?.close(),
    async browse([channel, group], signal) {
      const session = ++count
      const made = await adapter?.browse?.open(channel, group, { signal })
      if (made) sessions.set(session, made)
      return session
    },
    next: ([session, limit], signal) => sessions.get(session)?.next(limit, { signal }),
    remove: async ([session, positions], signal) =>
      plainResults((await sessions.get(session)?.remove(positions, { signal })) ?? []),
    endBrowse: ([session]) => sessions.get(session)?.close(),
    async close() {
      await adapter?.close()
      adapter = undefined
    },
  }

  async function hear({ kind, id, name = '', args = [] }: Frame): Promise<void> {
    if (kind === 'abort') return aborts.get(id)?.abort()
    if (kind === 'revoked') return revokes.get(id)?.()
    const stop = new AbortController()
    aborts.set(id, stop)
    try {
      const value = await calls[name]?.(args, stop.signal)
      const lanes = [...feeds].map(([feed, { state }]) => [feed, state().lanes])
      tell({ kind: 'answer', id, value, args: lanes })
    } catch (error) {
      tell({ kind: 'answer', id, error: plain(error) })
    } finally {
      aborts.delete(id)
    }
  }
}
