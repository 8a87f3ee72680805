// Confluent's wire format: a zero byte, the schema's id in four bytes, and the data.
import { PolybusError } from '@polybus/core'

export const FRAME_BYTES = 5
const MAGIC = 0

/** The bytes as a buffer: the same ones. */
export const bufferOf = (body: Uint8Array): Buffer =>
  Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength)

/**
 * The schema's id.
 *
 * @throws {PolybusError} `DECODE_FAILED`
 */
export function idOf(bytes: Buffer): number {
  if (bytes[0] !== MAGIC)
    throw new PolybusError(
      'DECODE_FAILED',
      bytes.length === 0
        ? 'the body is empty, where a schema id is expected'
        : `the body begins with byte ${bytes[0]}, not with the 0 of a schema registry's format`,
    )
  if (bytes.length < FRAME_BYTES)
    throw new PolybusError('DECODE_FAILED', `the body ends after ${bytes.length} bytes, within the schema's id`)
  return bytes.readUInt32BE(1)
}

export function writeHeader(target: Buffer, id: number): void {
  target[0] = MAGIC
  target.writeUInt32BE(id, 1)
}

/** What stands behind the header. */
export const dataOf = (frame: Buffer): Buffer => frame.subarray(FRAME_BYTES)

/** A frame around data that is there already. */
export function frame(id: number, ...parts: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(FRAME_BYTES)
  writeHeader(header, id)
  return Buffer.concat([header, ...parts])
}
