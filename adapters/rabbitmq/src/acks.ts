// Which delivery tags of a channel are finished, and in how few acks that can be said. It matters: a quorum queue's client in
// the server sends 32 commands ahead, and forgets the rest when the channel closes.

export interface Acks {
  finish(tag: number): void
  /** Finished in another way: given back. */
  gone(tag: number): void
  /** What to send: up to and including the tag, or the tag alone. */
  take(): readonly { readonly tag: number; readonly upTo: boolean }[]
}

export function createAcks(): Acks {
  /** All tags up to this one are finished. */
  let base = 0
  /** Above it. True: finished and not told yet. */
  const above = new Map<number, boolean>()
  return {
    finish: (tag) => void above.set(tag, true),
    gone: (tag) => void above.set(tag, false),
    take() {
      let last = 0
      let count = 0
      while (above.has(base + 1)) {
        base++
        if (above.get(base)) {
          last = base
          count++
        }
        above.delete(base)
      }
      const list: { tag: number; upTo: boolean }[] = []
      // The tag itself has to be one that the server still waits for.
      if (last > 0) list.push({ tag: last, upTo: count > 1 })
      for (const [tag, untold] of above)
        if (untold) {
          list.push({ tag, upTo: false })
          above.set(tag, false)
        }
      return list
    },
  }
}
