// The package @platformatic/kafka, which is there only where somebody wants it.
import type * as platformatic from '@platformatic/kafka'
import { PolybusError } from '@polybus/core'

export type Library = typeof platformatic

/** @throws {PolybusError} `UNSUPPORTED` where it is not installed. */
export async function loadLibrary(): Promise<Library> {
  try {
    return await import('@platformatic/kafka')
  } catch (error) {
    throw new PolybusError(
      'UNSUPPORTED',
      "kafka().client is 'platformatic', which needs the package @platformatic/kafka. Run: npm install @platformatic/kafka",
      { cause: error, sent: 'no' },
    )
  }
}
