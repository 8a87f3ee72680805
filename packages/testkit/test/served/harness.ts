// The memory broker behind a socket, so that the suite meets what real brokers bring (proxies, processes, connections that
// break) where there is none. Child processes find the server of their parent by the environment.
import type { Adapter } from '@polybus/core'
import { type Faults, type Foreign, namespaceProxies, type OpenOptions } from '@polybus/testkit'
import { inject, served } from './adapter.ts'
import { LEASE_MS, serve } from './server.ts'

const PORT = 'POLYBUS_TEST_SERVED_PORT'
const server = { host: '127.0.0.1', port: Number((process.env[PORT] ??= String(await serve()))) }
const proxies = namespaceProxies(server, { isSend: (bytes) => bytes.includes('send') })

export const name = 'served'
export const parallel = 4
export const timing = { leaseMs: LEASE_MS }
export const prepare = (namespace: string): Promise<void> => proxies.prepare(namespace)
export const abilities = ['singleSettle']
export const open = (namespace: string, { without }: OpenOptions): Adapter =>
  proxies.open(namespace, (address) => served(address, { log: without.includes('singleSettle') }))
export const faults = (namespace: string): Faults => proxies.faults(namespace)
export const foreign = (namespace: string): Foreign => ({
  send: (channel, message) => inject(server, namespace, channel, message),
})
export const cleanup = (namespace: string): Promise<void> => proxies.close(namespace)
