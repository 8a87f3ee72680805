// One adapter's connection, and the way of a call over it: where faults pause, delay or end it.
import type { Call, PolybusError } from '@polybus/core'
import type { Broker, Connection } from './state.ts'
import { aborted, connectionFailed } from './errors.ts'
import { leave } from './groups.ts'

/** Nothing stands between a call and its answer: the fast way. */
export const calm = ({ faults }: Broker, connection: Connection): boolean =>
  connection.dead === undefined && !faults.paused && faults.lateMs === 0

/**
 * Runs a call at the broker. While it is paused the call lies in the buffer, and is done at `resume` even if its caller
 * has given up, as in a socket.
 */
export function through<T>(broker: Broker, connection: Connection, call: Call, run: () => T): Promise<T> {
  const { faults, clock } = broker
  const { signal } = call
  if (signal.aborted) return Promise.reject(aborted('no'))
  if (connection.dead) return Promise.reject(connection.dead)
  return new Promise<T>((resolve, reject) => {
    let ended = false
    let timer: { cancel(): void } | undefined
    const end = (act: () => void): void => {
      if (ended) return
      ended = true
      timer?.cancel()
      connection.waiting.delete(die)
      signal.removeEventListener('abort', abort)
      act()
    }
    const die = (error: PolybusError): void =>
      end(() => reject(error instanceof Error ? error : new Error(String(error))))
    const abort = (): void => end(() => reject(aborted('unknown')))
    const answer = (value: T): void => {
      if (faults.paused) faults.buffer.push(() => answer(value))
      else end(() => resolve(value))
    }
    const perform = (): void => {
      if (connection.dead) return
      try {
        const value = run()
        if (faults.lateMs === 0) answer(value)
        else timer = clock.timer(faults.lateMs, () => answer(value))
      } catch (error) {
        end(() => reject(error instanceof Error ? error : new Error(String(error))))
      }
    }
    connection.waiting.add(die)
    signal.addEventListener('abort', abort)
    if (faults.paused) faults.buffer.push(perform)
    else perform()
  })
}

export function connect(broker: Broker): Connection {
  const connection: Connection = { dead: undefined, members: new Set(), waiting: new Set(), onLost: undefined }
  broker.faults.connections.add(connection)
  return connection
}

/** The connection ends, and all that was delivered over it goes back at once. */
export function cut(broker: Broker, connection: Connection): void {
  end(broker, connection, connectionFailed(broker.name, 'unknown'), false)
}

/** `crashed`: leases stay until they run out, and nobody is told. */
export function end(broker: Broker, connection: Connection, error: PolybusError, crashed: boolean): void {
  if (connection.dead) return
  connection.dead = error
  broker.faults.connections.delete(connection)
  for (const member of connection.members) {
    const given = leave(broker, member, crashed && broker.limits.leaseMs !== null)
    if (!crashed) member.lost(given)
    member.end(error)
  }
  connection.members.clear()
  for (const die of connection.waiting) die(error)
  if (!crashed) connection.onLost?.(error)
}
