// Calls of the seam over a socket: length, then a serialised object.
import type { Socket } from 'node:net'
import { deserialize, serialize } from 'node:v8'
import { PolybusError } from '@polybus/core'

export interface Frame {
  readonly kind: 'call' | 'abort' | 'answer' | 'lost' | 'revoke' | 'revoked'
  /** Of the call, or of the revoke. */
  readonly id: number
  readonly name?: string
  readonly args?: readonly unknown[]
  readonly value?: unknown
  readonly error?: PlainError
  readonly feed?: number
  readonly tokens?: readonly number[]
}
interface PlainError {
  readonly code: string
  readonly message: string
  readonly sent: 'no' | 'unknown' | undefined
}

export const plain = (error: unknown): PlainError =>
  PolybusError.is(error)
    ? { code: error.code, message: error.message, sent: error.sent }
    : { code: 'CONNECTION_FAILED', message: String(error), sent: undefined }
export const revive = ({ code, message, sent }: PlainError): PolybusError =>
  new PolybusError(code as PolybusError['code'], message, { sent })

/** Results hold errors, which do not serialise. */
export const plainResults = (results: readonly { ok: boolean; value?: unknown; error?: unknown }[]): unknown[] =>
  results.map((result) => (result.ok ? result : { ok: false, error: plain(result.error) }))
export const reviveResults = (results: readonly { ok: boolean; value?: unknown; error?: PlainError }[]): never =>
  results.map((result) => (result.error ? { ok: false, error: revive(result.error) } : result)) as never

export function speak(socket: Socket, hear: (frame: Frame) => void): (frame: Frame) => void {
  let rest: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk
    while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE(0)) {
      const end = 4 + rest.readUInt32BE(0)
      const frame = deserialize(rest.subarray(4, end)) as Frame
      rest = rest.subarray(end)
      hear(frame)
    }
  })
  return (frame) => {
    if (!socket.writable) return
    const body = serialize(frame)
    const length = Buffer.alloc(4)
    length.writeUInt32BE(body.length)
    socket.write(Buffer.concat([length, body]))
  }
}
