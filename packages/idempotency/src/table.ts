// A table of the last `capacity` texts, each with a number, that drops its oldest when it is full. Map does the same, but at
// 100,000 keys costs two to three times as much (npm run bench -- --only store): every message of an idempotent consumer pays for it.

export interface RecentTable {
  /** The number of a text, or undefined. */
  get(text: string): number | undefined
  /** Remembers a text as the newest. */
  set(text: string, value: number): void
  /** Forgets the texts that match. */
  forget(matches: (text: string) => boolean): void
  readonly size: number
}

const EMPTY = -1

export function createRecentTable(capacity: number): RecentTable {
  // Open addressing with linear probing, at most half full. Slots hold indexes into a ring in order of age.
  const slotCount = 2 ** Math.ceil(Math.log2(capacity * 2 + 2))
  const mask = slotCount - 1
  const slots = new Int32Array(slotCount).fill(EMPTY)
  const hashes = new Int32Array(capacity)
  const values = new Float64Array(capacity)
  const texts: (string | undefined)[] = []
  let next = 0
  let size = 0

  const slotOf = (text: string, hash: number): number => {
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const index = slots[slot] as number
      if (index === EMPTY) return EMPTY
      if (hashes[index] === hash && texts[index] === text) return slot
    }
  }
  /** Takes an entry out, and moves up what the gap would cut off. */
  const remove = (index: number): void => {
    let gap = (hashes[index] as number) & mask
    while (slots[gap] !== index) gap = (gap + 1) & mask
    for (let slot = (gap + 1) & mask; slots[slot] !== EMPTY; slot = (slot + 1) & mask) {
      const home = (hashes[slots[slot] as number] as number) & mask
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue
      slots[gap] = slots[slot] as number
      gap = slot
    }
    slots[gap] = EMPTY
    texts[index] = undefined
    size--
  }

  return {
    get(text) {
      const slot = slotOf(text, hashOf(text))
      return slot === EMPTY ? undefined : values[slots[slot] as number]
    },
    set(text, value) {
      const hash = hashOf(text)
      const known = slotOf(text, hash)
      if (known !== EMPTY) remove(slots[known] as number)
      if (texts[next] !== undefined) remove(next)
      let slot = hash & mask
      while (slots[slot] !== EMPTY) slot = (slot + 1) & mask
      slots[slot] = next
      hashes[next] = hash
      values[next] = value
      texts[next] = text
      next = next + 1 === capacity ? 0 : next + 1
      size++
    },
    forget(matches) {
      for (const [index, text] of texts.entries()) if (text !== undefined && matches(text)) remove(index)
    },
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
