// How batches are compressed, in the forms that Kafka's Java client writes. gzip and zstd come with Node; snappy and lz4 are
// packages that are loaded when the first such batch comes. kafkajs has a table of codecs too, one for the whole program: nothing
// is read from it or put there.
import { promisify } from 'node:util'
import * as zlib from 'node:zlib'
import { PolybusError } from '@polybus/core'
import type { KafkaCompression } from './options.ts'

export interface Codec {
  compress(bytes: Buffer): Promise<Buffer>
  decompress(bytes: Buffer): Promise<Buffer>
}

/** By Kafka's number. */
const NUMBERS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const satisfies readonly KafkaCompression[]
export const isCompression = (name: unknown): name is KafkaCompression => (NUMBERS as readonly unknown[]).includes(name)
export const compressionOf = (name: KafkaCompression): number => NUMBERS.indexOf(name)

/** What a batch may become: brokers take batches of 1 MiB unless told otherwise. */
const MAX_BYTES = 2 ** 29

/** The codec of a number; undefined where there is none. Packages are loaded at its first use. */
export function codecOf(number: number): Codec | undefined {
  switch (NUMBERS[number]) {
    case 'gzip':
      return told('gzip', ofZlib(zlib.gzip, zlib.gunzip))
    case 'zstd':
      return told('zstd', ofZlib(zlib.zstdCompress, zlib.zstdDecompress))
    case 'snappy':
      return told(
        'snappy',
        snappy(() => get<Snappy>('snappy', 'snappy', ['compress', 'uncompress'])),
      )
    case 'lz4':
      return told(
        'lz4',
        lz4(() => get<Lz4>('lz4-napi', 'lz4', ['compressFrame', 'decompressFrame'])),
      )
    default:
      return undefined
  }
}

/** @throws {PolybusError} `UNSUPPORTED` where the package of what is to be sent is not installed. */
export async function checkCompression(name: KafkaCompression): Promise<void> {
  await codecOf(compressionOf(name))?.compress(Buffer.from('polybus'))
}

/** Trying again would bring nothing else. */
function told(name: KafkaCompression, { compress, decompress }: Codec): Codec {
  const fail = (text: string) => (error: unknown) => {
    if (PolybusError.is(error)) throw error
    throw new PolybusError('BROKER_REFUSED', `${text} (${name}): ${String(error)}`, { cause: error, sent: 'no' })
  }
  return {
    compress: (bytes) => compress(bytes).catch(fail('A batch cannot be compressed')),
    decompress: (bytes) => decompress(bytes).catch(fail('A batch that Kafka holds cannot be read')),
  }
}

type Work = (
  bytes: Buffer,
  options: { maxOutputLength: number },
  done: (error: Error | null, bytes: Buffer) => void,
) => void
function ofZlib(compress: Work, decompress: Work): Codec {
  const [out, back] = [promisify(compress), promisify(decompress)]
  return {
    compress: (bytes) => out(bytes, { maxOutputLength: MAX_BYTES }),
    decompress: (bytes) => back(bytes, { maxOutputLength: MAX_BYTES }),
  }
}

/** The few functions that are used of each package. */
interface Snappy {
  compress(bytes: Buffer): Promise<Buffer>
  uncompress(bytes: Buffer, options: { asBuffer: true }): Promise<Buffer>
}
interface Lz4 {
  compressFrame(bytes: Buffer): Promise<Buffer>
  decompressFrame(bytes: Buffer): Promise<Buffer>
}

async function get<T>(name: string, codec: string, functions: readonly (keyof T & string)[]): Promise<T> {
  let module: Readonly<Record<string, unknown>>
  try {
    module = (await import(name)) as typeof module
  } catch (error) {
    throw new PolybusError(
      'UNSUPPORTED',
      `A batch is compressed with ${codec}, which needs the package ${name}. Run: npm install ${name}`,
      { cause: error, sent: 'no' },
    )
  }
  const found = [module, module['default']].find(
    (each) => typeof each === 'object' && each !== null && functions.every((one) => one in each),
  )
  if (!found)
    throw new PolybusError(
      'UNSUPPORTED',
      `The package ${name} has no ${functions.join(' and ')}. Install a newer one: npm install ${name}`,
      { sent: 'no' },
    )
  return found as T
}

/** Blocks with their lengths, behind a header: what Java's snappy streams are. Others write one block without any of it. */
const MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0])
const HEADER = Buffer.concat([MAGIC, Buffer.from([0, 0, 0, 1, 0, 0, 0, 1])])
const BLOCK_BYTES = 32 * 1024

function snappy(open: () => Promise<Snappy>): Codec {
  return {
    async compress(bytes) {
      const { compress } = await open()
      const parts: Buffer[] = [HEADER]
      for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
        const block = await compress(bytes.subarray(at, at + BLOCK_BYTES))
        const length = Buffer.alloc(4)
        length.writeInt32BE(block.length)
        parts.push(length, block)
      }
      return Buffer.concat(parts)
    },
    async decompress(bytes) {
      const { uncompress } = await open()
      if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return uncompress(bytes, { asBuffer: true })
      const parts: Buffer[] = []
      for (let at = HEADER.length; at < bytes.length;) {
        const length = bytes.readInt32BE(at)
        at += 4
        if (length < 0 || at + length > bytes.length) throw new Error('a snappy block is longer than its batch')
        parts.push(await uncompress(bytes.subarray(at, at + length), { asBuffer: true }))
        at += length
      }
      return Buffer.concat(parts)
    },
  }
}

/** LZ4's own frames, with blocks that do not depend on each other: Java reads no others. */
function lz4(open: () => Promise<Lz4>): Codec {
  return {
    compress: async (bytes) => (await open()).compressFrame(bytes),
    decompress: async (bytes) => (await open()).decompressFrame(bytes),
  }
}
