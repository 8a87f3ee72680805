/** A list in its order, in pieces of at most so many bytes and items; what is larger stands alone. */
export function* chunks<T extends { readonly bytes: number }>(
  list: readonly T[],
  maxBytes: number,
  maxCount: number = Infinity,
): Generator<readonly T[]> {
  let some: T[] = []
  let bytes = 0
  for (const each of list) {
    if (some.length > 0 && (bytes + each.bytes > maxBytes || some.length >= maxCount)) {
      yield some
      some = []
      bytes = 0
    }
    some.push(each)
    bytes += each.bytes
  }
  if (some.length > 0) yield some
}
