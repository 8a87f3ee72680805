// A server of Redis that says what it is told to, for tests of what is on the wire.
import { createServer, type Socket } from 'node:net'
import { Redis } from 'ioredis'
import { expect, onTestFinished } from 'vitest'

export interface Server {
  readonly client: Redis
  /** All that came. */
  readonly received: () => string
  answer(data: string | Buffer): void
  cut(): void
}

/** A server that says what it is told to, and a client of it. */
export async function server(options: { commandTimeout?: number } = {}): Promise<Server> {
  let socket: Socket | undefined
  let received = Buffer.alloc(0)
  const listening = createServer((one) => {
    socket = one
    one.on('error', () => {})
    one.on('data', (data) => (received = Buffer.concat([received, data])))
  })
  await new Promise<void>((resolve) => void listening.listen(0, '127.0.0.1', resolve))
  const address = listening.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const client = new Redis({
    host: '127.0.0.1',
    port: address.port,
    lazyConnect: true,
    protocol: 2,
    replyMapping: 'legacy',
    enableReadyCheck: false,
    enableOfflineQueue: false,
    retryStrategy: null,
    disableClientInfo: true,
    ...options,
  })
  client.on('error', () => {})
  onTestFinished(() => {
    client.disconnect()
    socket?.destroy()
    listening.close()
  })
  await client.connect()
  return {
    client,
    received: () => received.toString('latin1'),
    answer: (data) => void socket?.write(data),
    cut: () => void socket?.destroy(),
  }
}

export const asked = async ({ received }: Server, text: string): Promise<void> => {
  await expect.poll(received, { interval: 5 }).toContain(text)
}
