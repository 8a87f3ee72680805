// Which topic a name stands for: one that is deleted and made anew has another id. All else is asked by an older form
// of Metadata.
import type { Broker } from './wire.ts'
import { reader } from './bytes.ts'

const API = 3
/** Kafka 3.1 and newer. */
const VERSION = 12
const UUID_BYTES = 16
const NO_TAGS = 0

/** By name, of those that exist; none where the broker is too old to tell. */
export async function readTopicIds(broker: Broker, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const { maxVersion } = broker.supports(API) ?? { maxVersion: 0 }
  if (maxVersion < VERSION || names.length === 0) return new Map()
  const decodeIds = (payload: Buffer) => ({ throttleMs: 0, value: decode(payload) })
  return broker.send({ apiKey: API, apiVersion: VERSION, body: encode(names), decode: decodeIds })
}

/** Lengths and counts of this form are one more than they say, so that 0 is "none". */
function encode(names: readonly string[]): Buffer {
  const parts: Buffer[] = [Buffer.from([NO_TAGS]), unsigned(names.length + 1)]
  for (const name of names) {
    const text = Buffer.from(name)
    parts.push(Buffer.alloc(UUID_BYTES), unsigned(text.length + 1), text, Buffer.from([NO_TAGS]))
  }
  const [create, operations] = [0, 0]
  return Buffer.concat([...parts, Buffer.from([create, operations, NO_TAGS])])
}

function decode(payload: Buffer): ReadonlyMap<string, string> {
  const from = reader(payload)
  const length = (): number => from.unsigned() - 1
  const skipText = (): void => void from.bytes(Math.max(0, length()))
  const skipNumbers = (): void => void from.bytes(Math.max(0, length()) * 4)
  const skipTags = (): void => {
    for (let tags = from.unsigned(); tags > 0; tags--) {
      from.unsigned()
      from.bytes(from.unsigned())
    }
  }
  skipTags()
  from.int32()
  for (let brokers = length(); brokers > 0; brokers--) {
    from.int32()
    skipText()
    from.int32()
    skipText()
    skipTags()
  }
  skipText()
  from.int32()
  const ids = new Map<string, string>()
  for (let topics = length(); topics > 0; topics--) {
    const error = from.int16()
    const name = from.bytes(Math.max(0, length())).toString()
    const id = from.bytes(UUID_BYTES).toString('base64url')
    from.int8()
    for (let partitions = length(); partitions > 0; partitions--) {
      from.int16()
      from.int32()
      from.int32()
      from.int32()
      skipNumbers()
      skipNumbers()
      skipNumbers()
      skipTags()
    }
    from.int32()
    skipTags()
    if (error === 0) ids.set(name, id)
  }
  return ids
}

function unsigned(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80)
  return Buffer.from([...bytes, rest])
}
