// Batches as SQS takes them.

/** Entries of one call. */
export const MOST = 10

/** Ten at most, and no more bytes than one message may have. */
export function chunksOf<T>(items: readonly T[], bytesOf: (item: T) => number, maxBytes: number): readonly T[][] {
  const chunks: T[][] = []
  let bytes = Infinity
  for (const item of items) {
    const size = bytesOf(item)
    const last = chunks.at(-1)
    if (last && last.length < MOST && bytes + size <= maxBytes) {
      last.push(item)
      bytes += size
    } else {
      chunks.push([item])
      bytes = size
    }
  }
  return chunks
}

/** Runs them side by side, so many at once. */
export async function each<T>(items: readonly T[], width: number, run: (item: T) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) await run(items[index] as T)
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane))
}
