// What the headers of records take. From record to record most are the same, and are reckoned once.
import type { RecordHeader, RecordHeaders } from './client.ts'

export const isSame = (header: RecordHeader, before: RecordHeader | undefined): boolean =>
  before !== undefined && header[1] === before[1] && header[0] === before[0]

/** To be asked for one record after the other. @param sizeOf What one header takes. */
export function headerSizes(sizeOf: (header: RecordHeader) => number): (headers: RecordHeaders) => number {
  let before: RecordHeaders = []
  /** Of those before, by place. */
  const sizes: number[] = []
  return (headers) => {
    let sum = 0
    for (let index = 0; index < headers.length; index++) {
      const header = headers[index] as RecordHeader
      if (!isSame(header, before[index])) sizes[index] = sizeOf(header)
      sum += sizes[index] as number
    }
    before = headers
    return sum
  }
}
