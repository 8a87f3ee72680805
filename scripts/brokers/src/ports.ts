import { createServer } from 'node:net'

// Below the range that systems give to outgoing connections: from there a client that calls a stopped broker again and
// again can get the broker's own port, and so connect to itself and keep the broker from coming back. And apart from the
// range of the testkit's proxies (25,000 on): one of them could take the port of a broker that is down for a moment.
const FIRST = 20_000
const LAST = 24_999

export const PORT_PATIENCE_MS = 2000

/** Whether one can listen on it now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

/** The preferred one where it is free, else any. `taken` are promised to somebody who may not listen yet. */
export async function freePort(taken: ReadonlySet<number>, preferred?: number): Promise<number> {
  if (preferred !== undefined && !taken.has(preferred) && (await isFree(preferred))) return preferred
  const span = LAST - FIRST + 1
  const start = Math.floor(Math.random() * span)
  for (let step = 0; step < span; step++) {
    const port = FIRST + ((start + step) % span)
    if (!taken.has(port) && (await isFree(port))) return port
  }
  throw new Error(`No port from ${FIRST} to ${LAST} is free on 127.0.0.1.`)
}
