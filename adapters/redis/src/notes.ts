// Headers that were given with a release lie beside the entry, which cannot be changed, until its next holder reads them.
import type { Headers, HeaderValue } from '@polybus/core'

export const packNote = (headers: Headers): string =>
  JSON.stringify(
    headers.map(([name, value]) =>
      typeof value === 'string' ? [name, value] : [name, { bytes: Buffer.from(value).toString('base64') }],
    ),
  )

/** One that cannot be read counts for nothing: its entry would be in the way of all others. */
export function unpackNote(note: string): Headers {
  try {
    const list = JSON.parse(note) as [string, string | { bytes: string }][]
    return list.map(([name, value]): [string, HeaderValue] => [
      String(name),
      typeof value === 'string' ? value : Buffer.from(value.bytes, 'base64'),
    ])
  } catch {
    return []
  }
}
