// One connection of @platformatic/kafka: its socket, its login and its requests, each of which is one promise.
import { isIP } from 'node:net'
import type { API, Connection } from '@platformatic/kafka'
import { connectionFailed } from '../errors.ts'
import type { PlatformaticSettings } from '../options.ts'
import { guarded } from '../engine/socket.ts'
import type { RawRequest } from '../engine/wire.ts'
import { readError } from './errors.ts'
import type { Library } from './library.ts'

export interface Wired {
  isOpen(): boolean
  /** A request of the library's own table. */
  ask<Arguments extends unknown[], T>(api: API<Arguments, T>, ...args: Arguments): Promise<T>
  /** One that is read by ourselves: the answer behind its correlation id. */
  askRaw(apiKey: number, apiVersion: number, body: Body): Promise<Buffer>
  /** One that is written by ourselves too. */
  send<T>(request: RawRequest<T>): Promise<T>
  close(): Promise<void>
}
type Body = InstanceType<Library['Writer']>
type Answer = InstanceType<Library['Reader']>

export interface Address {
  readonly host: string
  readonly port: number
}

/** Time-outs are the link's: they end what waits, and this connection. */
const NEVER_MS = 2 ** 31 - 1
/** The library holds back what is more; the broker answers in order. */
const IN_FLIGHT = 1000
/** The library's names. */
const MECHANISMS = { plain: 'PLAIN', 'scram-sha-256': 'SCRAM-SHA-256', 'scram-sha-512': 'SCRAM-SHA-512' } as const

export async function openConnection(
  library: Library,
  settings: PlatformaticSettings,
  clientId: string,
  address: Address,
  timeoutMs: number,
  /** Ends it at once: what waits for an answer is rejected. */
  end: AbortSignal,
): Promise<Wired> {
  const { ssl, sasl, addressOf } = settings
  const connection: Connection = new library.Connection(clientId, {
    connectTimeout: settings.connectTimeoutMs ?? timeoutMs,
    requestTimeout: NEVER_MS,
    maxInflights: IN_FLIGHT,
    ...(ssl && { tls: { ...(!isIP(address.host) && { servername: address.host }), ...(ssl !== true && ssl) } }),
    ...(sasl && { sasl: { ...sasl, mechanism: MECHANISMS[sasl.mechanism] } }),
  })
  // What fails is told to who waits for it.
  connection.on('error', () => {})
  const { host, port } = addressOf?.(address) ?? address
  const connecting = connection.connect(host, port)
  // It begins to listen to data when it is connected, which is not yet.
  const socket = guarded(connection.socket)
  /** What ended it; the library says only that it did. While it connects it listens to one error only. */
  let trouble: Error | undefined
  socket.on('error', (error: Error) => (trouble ??= error))
  const destroy = (): void => void socket.destroy(end.reason as Error)
  end.addEventListener('abort', destroy)
  socket.once('close', () => end.removeEventListener('abort', destroy))
  try {
    await connecting
  } catch (error) {
    socket.destroy()
    throw readError(error)
  }
  socket.setKeepAlive(true, 60_000)

  const promised = <T>(begin: (done: (error: Error | null, value?: T) => void) => void): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      if (!connection.isConnected()) return reject(connectionFailed('Closed connection', 'no'))
      begin((error, value) => (error ? reject(readError(error, trouble)) : resolve(value as T)))
    })
  const asIs = (_id: number, _key: number, _version: number, { buffer, position }: Answer): Buffer =>
    buffer.slice(position)
  const askRaw = (apiKey: number, apiVersion: number, body: Body): Promise<Buffer> =>
    promised<Buffer>((done) => connection.send(apiKey, apiVersion, () => body, asIs, false, false, done))
  return {
    isOpen: () => connection.isConnected(),
    ask: (api, ...args) => promised((done) => api(connection, ...args, done)),
    askRaw,
    async send({ apiKey, apiVersion, body, decode }) {
      return decode(await askRaw(apiKey, apiVersion, library.Writer.create().append(body))).value
    },
    close: () => connection.close(),
  }
}
