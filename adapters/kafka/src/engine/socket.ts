// A socket whose listeners may throw.
import type { Socket } from 'node:net'

/** What listens to it throws where a frame is none, as of another program's port: that ends the connection, not the process. */
export function guarded(socket: Socket): Socket {
  type On = (event: string, listener: (...args: unknown[]) => void) => Socket
  const on = socket.on.bind(socket) as On
  const safely: On = (event, listener) =>
    on(event, event === 'data' ? (...args) => attempt(socket, () => listener(...args)) : listener)
  return Object.assign(socket, { on: safely })
}

function attempt(socket: Socket, run: () => void): void {
  try {
    run()
  } catch (error) {
    socket.destroy(new Error(`What answers does not speak Kafka's protocol: ${String(error)}`, { cause: error }))
  }
}
