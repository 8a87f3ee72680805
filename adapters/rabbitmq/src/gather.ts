import type { Writable } from 'node:stream'

/**
 * amqplib writes message by message, and each write is a call of the system. What is written in one go leaves with one call
 * here, as soon as the code that writes is done.
 */
export function gatherWrites(stream: Writable | undefined): void {
  if (!stream) return
  const write = stream.write.bind(stream) as (...given: readonly unknown[]) => boolean
  stream.write = (...given: readonly unknown[]): boolean => {
    if (stream.writableCorked === 0) {
      stream.cork()
      process.nextTick(() => stream.uncork())
    }
    return write(...given)
  }
}
