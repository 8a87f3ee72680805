import type { Socket } from 'node:net'

/**
 * Cuts a connection off with a reset. Between its end and the system's answer to that Node would do nothing at all: neither reset
 * nor close it, then or later, and a process that has such a socket never exits (seen with Node 24.21). There it is closed.
 */
export function cutOff(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy()
  else socket.resetAndDestroy()
}
