// The broker, and the proxy before it; the store, and how it goes away.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type RunningBroker, startBroker } from '@polybus/brokers'
import { ownService } from '@polybus/example-orders/own-broker'
import { type FaultProxy, faultProxy } from '@polybus/testkit'
import { type Access, addressOf, through } from './access.ts'
import type { StorePlace } from './ledger.ts'
import type { ClientName, StoreName } from './options.ts'

export type Say = (text: string) => void

export interface Broker {
  /** For what must not be cut: the parent's own look at it. */
  readonly direct: Access
  readonly proxied: Access
  readonly proxy: FaultProxy
  /** One that may be killed. */
  readonly server: RunningBroker | undefined
  end(): Promise<void>
}
export interface Store {
  readonly place: StorePlace
  /** Resolves when it is there again. */
  away(forMs: number): Promise<void>
  end(): Promise<void>
}

/**
 * A consumer of Kafka that was killed, or that came back under a new name, keeps its group from sharing anew until its session
 * ends. With the usual 10 s faults of this density leave the group no time between two of them.
 */
const SETTINGS: Readonly<Record<string, string>> = { kafka: '?sessionTimeoutMs=3000&heartbeatMs=300' }

/** Whether a run may kill the broker of this URL: it is brought up for the run, and keeps what it has. */
export const isKillable = (url: string): boolean => ![undefined, 'sqs'].includes(ownService(url))

/** @throws {BrokerUnavailable} saying what is missing on this machine. */
export async function openBroker(url: string, client: ClientName | undefined, say: Say): Promise<Broker> {
  const service = ownService(url)
  const own = service && (await startBroker(service, { instance: `chaos-${process.pid}`, say }))
  if (own) say(`Brought up ${own.name} for this run: ${own.url}`)
  const library = client === undefined ? '' : `&client=${client}`
  const found = own ? `${own.url}${SETTINGS[own.name] ?? ''}${library}` : url
  const proxy = await faultProxy(addressOf(found))
  return {
    direct: { url: found },
    proxied: through(found, proxy),
    proxy,
    server: isKillable(url) ? own : undefined,
    async end() {
      await proxy.close()
      await own?.remove()
    },
  }
}

export async function openStore(name: StoreName, folder: string, say: Say): Promise<Store> {
  if (name === 'sqlite') {
    const file = join(folder, 'ledger.db')
    return { place: { kind: 'sqlite', file }, away: (forMs) => lock(file, forMs), end: () => Promise.resolve() }
  }
  const server = await startBroker(name, { instance: `chaos-store-${process.pid}`, say })
  say(`Brought up ${server.name} for the store: ${server.url}`)
  const { url } = server
  return {
    place: name === 'postgres' ? { kind: name, url } : { kind: name, url, ledger: join(folder, 'ledger.db') },
    async away(forMs) {
      await server.kill()
      await sleep(forMs)
      await server.start()
    },
    end: () => server.remove(),
  }
}

/** By another process, which SQLite's locks are made for. */
async function lock(file: string, forMs: number): Promise<void> {
  const program = fileURLToPath(new URL('./locker.js', import.meta.url))
  const child = spawn(process.execPath, [program, file, String(forMs)], { stdio: ['ignore', 'ignore', 'inherit'] })
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) throw new Error(`The database could not be locked (${code}).`)
}
