// A table of at most `capacity` texts that drops its oldest when it is full. A Map of that size costs two to three times as much,
// and every message of an idempotent consumer pays for it: docs/decisions/0002-choices-of-the-core.md.

/** Texts live at an index that stays theirs until they go: what belongs to a text is kept in arrays beside the table. */
export interface RecentTable {
  /** The index of a text, or -1. */
  find(text: string): number
  /** Puts in a text that is not there. The oldest that is not pinned makes room; -1 where all are pinned. */
  insert(text: string): number
  remove(index: number): void
  text(index: number): string | undefined
  readonly size: number
}

const NONE = -1

export function createRecentTable(capacity: number, pinned: (index: number) => boolean): RecentTable {
  // Open addressing with linear probing, at most half full. Slots hold indexes into a ring in order of age.
  const slotCount = 2 ** Math.ceil(Math.log2(capacity * 2 + 2))
  const mask = slotCount - 1
  const slots = new Int32Array(slotCount).fill(NONE)
  const hashes = new Int32Array(capacity)
  const texts: (string | undefined)[] = []
  let next = 0
  let size = 0
  // A text that is not found is mostly put in next.
  let hashed = ''
  let itsHash = hashOf('')
  const hashFor = (text: string): number => {
    if (text !== hashed) {
      hashed = text
      itsHash = hashOf(text)
    }
    return itsHash
  }

  /** Takes an entry out, and moves up what the gap would cut off. */
  const remove = (index: number): void => {
    if (texts[index] === undefined) return
    let gap = (hashes[index] as number) & mask
    while (slots[gap] !== index) gap = (gap + 1) & mask
    for (let slot = (gap + 1) & mask; slots[slot] !== NONE; slot = (slot + 1) & mask) {
      const home = (hashes[slots[slot] as number] as number) & mask
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue
      slots[gap] = slots[slot] as number
      gap = slot
    }
    slots[gap] = NONE
    texts[index] = undefined
    size--
  }
  /** The place after the newest; what is pinned there keeps it. */
  const place = (): number => {
    for (let steps = 0; steps < capacity; steps++) {
      const index = next
      next = next + 1 === capacity ? 0 : next + 1
      if (texts[index] === undefined) return index
      if (pinned(index)) continue
      remove(index)
      return index
    }
    return NONE
  }

  return {
    find(text) {
      const hash = hashFor(text)
      for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
        const index = slots[slot] as number
        if (index === NONE || (hashes[index] === hash && texts[index] === text)) return index
      }
    },
    insert(text) {
      const index = place()
      if (index === NONE) return NONE
      const hash = hashFor(text)
      let slot = hash & mask
      while (slots[slot] !== NONE) slot = (slot + 1) & mask
      slots[slot] = index
      hashes[index] = hash
      texts[index] = text
      size++
      return index
    },
    remove,
    text: (index) => texts[index],
    get size() {
      return size
    },
  }
}

/** FNV-1a over UTF-16 units, with its high bits mixed in. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5 | 0
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return hash ^ (hash >>> 15)
}
