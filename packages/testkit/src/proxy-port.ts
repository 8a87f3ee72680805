// A port's number belongs to its proxy while the proxy is down, too: no other proxy, of any process, may come up behind a
// client that expects to be refused.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'

/**
 * Takes the number by the UDP port of the same number, which nobody else needs. Answers how to give it back; undefined where
 * another proxy has it.
 */
export async function reserve(host: string, port: number): Promise<(() => void) | undefined> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  socket.unref()
  try {
    socket.bind({ address: host, port, exclusive: true })
    await once(socket, 'listening')
  } catch (error) {
    socket.close()
    if ((error as { code?: unknown }).code === 'EADDRINUSE') return undefined
    throw error
  }
  socket.on('error', () => {})
  let held = true
  return () => {
    if (held) socket.close()
    held = false
  }
}
