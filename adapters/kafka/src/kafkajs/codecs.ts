// kafkajs has one table of codecs for the whole program. Only what nobody put there is filled in.
import kafkajs from 'kafkajs'
import { type Codec, CodecMissing, codecOf, compressionOf } from '../codecs.ts'
import { kafkaError } from '../errors.ts'
import type { KafkaCompression } from '../options.ts'

interface Encoder {
  readonly buffer: Buffer
}
/** As kafkajs has them. */
export interface Registered {
  compress(encoder: Encoder): Promise<Buffer>
  decompress(bytes: Buffer): Promise<Buffer>
}
const TABLE = kafkajs.CompressionCodecs as unknown as Record<number, (() => Registered) | undefined>
const NAMES: readonly KafkaCompression[] = ['snappy', 'lz4', 'zstd']

export function registerCodecs(): void {
  for (const name of NAMES) {
    const number = compressionOf(name)
    const codec = codecOf(number)
    if (!codec || isThere(number)) continue
    const made = asRegistered(codec)
    TABLE[number] = () => made
  }
}

export const asRegistered = (codec: Codec): Registered => ({
  compress: ({ buffer }) => told(codec.compress(buffer)),
  decompress: (bytes) => told(codec.decompress(bytes)),
})

/** kafkajs's own entries throw that they are not implemented. */
function isThere(number: number): boolean {
  try {
    return TABLE[number]?.() !== undefined
  } catch {
    return false
  }
}

/** An error that kafkajs does not try again. */
async function told<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw error instanceof CodecMissing
      ? Object.assign(new kafkajs.KafkaJSNonRetriableError(error.message), { name: 'KafkaJSNotImplemented' })
      : new kafkajs.KafkaJSNonRetriableError(error as Error)
  }
}

/** @throws {PolybusError} `UNSUPPORTED` where the package of what is to be sent is not installed. */
export async function checkCompression(name: KafkaCompression): Promise<void> {
  if (name === 'none') return
  try {
    await TABLE[compressionOf(name)]?.().compress({ buffer: Buffer.from('polybus') })
  } catch (error) {
    throw kafkaError(error, 'no')
  }
}
