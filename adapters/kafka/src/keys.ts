// Keys are bytes on the wire and text in core. What is not UTF-8 is carried as lone surrogates, one a byte (as Python's
// surrogateescape does), so that a key comes back as it came, and two keys stay two.
import { isUtf8 } from 'node:buffer'

const ESCAPE = 0xdc00

export function keyText(bytes: Uint8Array): string {
  const buffer = bufferOf(bytes)
  if (isUtf8(buffer)) return buffer.toString()
  let text = ''
  for (let at = 0; at < buffer.length;) {
    const lead = buffer[at] as number
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
    const some = buffer.subarray(at, at + length)
    if (isUtf8(some)) {
      text += some.toString()
      at += length
    } else {
      text += String.fromCharCode(ESCAPE + lead)
      at += 1
    }
  }
  return text
}

export function keyBytes(text: string): Buffer {
  if (!/\p{Surrogate}/u.test(text)) return Buffer.from(text)
  return Buffer.concat(
    Array.from(text, (character) => {
      const code = character.charCodeAt(0)
      return character.length === 1 && code >= ESCAPE + 0x80 && code <= ESCAPE + 0xff
        ? Buffer.of(code - ESCAPE)
        : Buffer.from(character)
    }),
  )
}

export const bufferOf = (value: Uint8Array): Buffer =>
  Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
