// Which delivery tags of a channel are finished, and in how few acks that can be said. It matters: a quorum queue's client in
// the server sends 32 commands ahead, and forgets the rest when the channel closes.

export interface Acks {
  finish(tag: number): void
  /** Finished in another way: given back. */
  gone(tag: number): void
  /** What to send: up to and including the tag, or the tag alone. */
  take(): readonly { readonly tag: number; readonly upTo: boolean }[]
}

/** What is known of a tag above the base. */
type State = 'untold' | 'told' | undefined

export function createAcks(): Acks {
  /** All tags up to this one are finished. */
  let base = 0
  /** Of the tags above it, in their order. */
  const above: State[] = []
  /** Finished since the last take. */
  let fresh: number[] = []
  const mark = (tag: number, state: State): void => {
    // Not past the end: an array with holes is slow for good.
    for (let index = above.length; index < tag - base; index++) above.push(undefined)
    above[tag - base - 1] = state
  }
  return {
    finish(tag) {
      mark(tag, 'untold')
      fresh.push(tag)
    },
    gone: (tag) => mark(tag, 'told'),
    take() {
      let last = 0
      let count = 0
      let length = 0
      for (; above[length] !== undefined; length++) {
        if (above[length] !== 'untold') continue
        last = base + length + 1
        count++
      }
      if (length > 0) {
        above.splice(0, length)
        base += length
      }
      const list: { tag: number; upTo: boolean }[] = []
      // The tag itself has to be one that the server still waits for.
      if (last > 0) list.push({ tag: last, upTo: count > 1 })
      for (const tag of fresh) {
        if (tag <= base) continue
        list.push({ tag, upTo: false })
        mark(tag, 'told')
      }
      fresh = []
      return list
    },
  }
}
