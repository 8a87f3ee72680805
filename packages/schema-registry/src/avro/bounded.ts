// Avsc trusts the counts that stand before arrays and maps, and notices only at the end that a body was too short: ten bytes that promise a
// thousand million items would fill the memory first. Here each count is held against the bytes that are left.
import avsc, { type Schema, type Type } from 'avsc'

const { types } = avsc

/** As much of avsc's reader as its own types use. */
interface Tap {
  readonly buf: Buffer
  readonly pos: number
  readLong(): number
  skipLong(): void
  readString(): string
}
interface Reads {
  _read(tap: Tap): unknown
}
interface ReadsItems extends Reads {
  itemsType: Reads
}
interface ReadsValues extends Reads {
  valuesType: Reads
}

/** Items that take no bytes, such as nulls. */
const MOST_EMPTY = 10_000

function countOf(tap: Tap): number {
  let count = tap.readLong()
  if (count < 0) {
    count = -count
    tap.skipLong()
  }
  // Each item takes a byte, or nearly: of empty ones a few may be there.
  if (count > Math.max(tap.buf.length - tap.pos, MOST_EMPTY)) throw new Error('truncated buffer')
  return count
}
function readArray(this: ReadsItems, tap: Tap): unknown[] {
  const found: unknown[] = []
  for (let count = countOf(tap); count > 0; count = countOf(tap)) {
    while (count-- > 0) found.push(this.itemsType._read(tap))
    if (tap.pos > tap.buf.length || found.length > tap.buf.length + MOST_EMPTY) throw new Error('truncated buffer')
  }
  return found
}
function readMap(this: ReadsValues, tap: Tap): object {
  const found: Record<string, unknown> = {}
  let size = 0
  for (let count = countOf(tap); count > 0; count = countOf(tap)) {
    size += count
    while (count-- > 0) {
      const key = tap.readString()
      const value = this.valuesType._read(tap)
      // A plain assignment would change what it inherits from.
      if (key === '__proto__')
        Object.defineProperty(found, key, { value, enumerable: true, writable: true, configurable: true })
      else found[key] = value
    }
    if (tap.pos > tap.buf.length || size > tap.buf.length + MOST_EMPTY) throw new Error('truncated buffer')
  }
  return found
}

// Avsc's types are frozen once they are made: what reads them can only be another one from the beginning.
const { ArrayType, MapType } = types
class BoundedArray extends ArrayType {}
class BoundedMap extends MapType {}
Object.assign(BoundedArray.prototype, { _read: readArray })
Object.assign(BoundedMap.prototype, { _read: readMap })

/** For avsc's `typeHook`: arrays and maps, wherever they stand, with bounds. */
export function bounded(schema: Schema, options: Options): Type | undefined {
  const kind = typeof schema === 'object' && 'type' in schema ? schema.type : undefined
  if (kind === 'array') return new (BoundedArray as Constructor)(schema, options)
  if (kind === 'map') return new (BoundedMap as Constructor)(schema, options)
  return undefined
}
type Options = Parameters<typeof avsc.Type.forSchema>[1]
type Constructor = new (schema: Schema, options: Options) => Type
