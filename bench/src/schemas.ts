// What a codec of the schema registry costs a message, beside plain JSON and the library that it is made of, called directly.
import { beginRun, type RunningBroker, startBroker } from '@polybus/brokers'
import { schemaRegistry } from '@polybus/schema-registry'
import avsc from 'avsc'
import { type Codec, json } from 'polybus'
import protobuf from 'protobufjs'
import { type Prepared, type Scenario, timed } from './measure.ts'

interface Value {
  readonly id: string
  readonly customer: string
  readonly cents: number
  readonly placedAt: number
  readonly note: string | null
  readonly tags: readonly string[]
  readonly address: { readonly street: string; readonly paid: boolean }
}
const valueOf = (index: number): Value => ({
  id: `order-${index}`,
  customer: `customer-${index % 1000}`,
  cents: index % 10_000,
  placedAt: 1_700_000_000_000 + index,
  note: index % 2 === 0 ? null : 'leave it at the door',
  tags: ['web', 'gift'],
  address: { street: 'Long Street 1', paid: true },
})
const avroSchema = {
  type: 'record',
  name: 'Order',
  namespace: 'bench',
  fields: [
    { name: 'id', type: 'string' },
    { name: 'customer', type: 'string' },
    { name: 'cents', type: 'int' },
    { name: 'placedAt', type: 'long' },
    { name: 'note', type: ['null', 'string'] },
    { name: 'tags', type: { type: 'array', items: 'string' } },
    {
      name: 'address',
      type: {
        type: 'record',
        name: 'Address',
        fields: [
          { name: 'street', type: 'string' },
          { name: 'paid', type: 'boolean' },
        ],
      },
    },
  ],
}
const text = { type: 'string' }
const jsonSchema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'bench.Order',
  type: 'object',
  properties: {
    id: text,
    customer: text,
    cents: { type: 'integer' },
    placedAt: { type: 'integer' },
    note: { type: ['string', 'null'] },
    tags: { type: 'array', items: text },
    address: { type: 'object', properties: { street: text, paid: { type: 'boolean' } }, required: ['street', 'paid'] },
  },
  required: ['id', 'customer', 'cents', 'placedAt', 'note', 'tags', 'address'],
}
const proto = `syntax = "proto3"; package bench;
message Order { string id = 1; string customer = 2; int32 cents = 3; int64 placedAt = 4; optional string note = 5; repeated string tags = 6; Address address = 7; }
message Address { string street = 1; bool paid = 2; }`

/** One value at a time, as a channel does it: there and back. */
interface Way {
  readonly name: string
  readonly what: string
  encode(value: Value): Uint8Array
  decode(body: Uint8Array): unknown
}

export interface SchemaBench {
  scenarios(half: 'encode' | 'decode'): readonly Scenario[]
  end(): Promise<void>
}

export async function openSchemaBench(): Promise<SchemaBench> {
  const run = beginRun()
  let registry: RunningBroker | undefined
  const end = async (): Promise<void> => {
    await registry?.remove()
    await run.end()
  }
  try {
    registry = await startBroker('registry', { instance: 'bench' })
    const ways = await waysOn(registry.url)
    return { scenarios: (half) => ways.map((way) => scenario(way, half)), end }
  } catch (error) {
    await end()
    throw error
  }
}

async function waysOn(url: string): Promise<readonly Way[]> {
  const registry = schemaRegistry({ url })
  const avroType = avsc.Type.forSchema(avroSchema as avsc.Schema)
  const message = protobuf.parse(proto).root.lookupType('bench.Order')
  return [
    {
      name: 'avsc',
      what: 'the library called directly: no frame, fields that the schema lacks go unnoticed',
      encode: (value) => avroType.toBuffer(value),
      decode: (body) => avroType.fromBuffer(body as Buffer),
    },
    await ours('avro', registry.avro({ schema: avroSchema, register: true, subject: 'bench-avro' })),
    {
      name: 'JSON',
      what: "the channel's default, unchecked",
      encode: (value) => json.encode(value),
      decode: (body) => json.decode(body),
    },
    await ours('json schema', registry.jsonSchema({ schema: jsonSchema, register: true, subject: 'bench-json' })),
    {
      name: 'protobufjs',
      what: 'the library called directly',
      encode: (value) => message.encode(message.fromObject(value)).finish(),
      decode: (body) => message.toObject(message.decode(body), { longs: String, enums: String, defaults: true }),
    },
    await ours('protobuf', registry.protobuf({ schema: proto, register: true, subject: 'bench-protobuf' })),
  ]
}

/** After its first message each way, which asks the registry, a codec answers at once. */
async function ours(name: string, codec: Codec): Promise<Way> {
  const about = { channel: 'bench', type: 'bench' }
  const first = await codec.encode(name === 'protobuf' ? { ...valueOf(0), note: 'n' } : valueOf(0), about)
  await codec.decode(first, about)
  return {
    name,
    what: `registry.${name === 'json schema' ? 'jsonSchema' : name}(), the schema known`,
    encode: (value) => codec.encode(value, about) as Uint8Array,
    decode: (body) => codec.decode(body, about),
  }
}

const VALUES = 1000

const scenario = ({ name, what, encode, decode }: Way, half: 'encode' | 'decode'): Scenario => ({
  name,
  what,
  async prepare(): Promise<Prepared> {
    const values = Array.from({ length: VALUES }, (_, index) => valueOf(index))
    const bodies = values.map(encode)
    let bytes = 0
    let read: unknown
    const work = half === 'encode' ? encodeAll : decodeAll
    function encodeAll(messages: number): void {
      for (let index = 0; index < messages; index++) bytes += encode(values[index % VALUES] as Value).length
    }
    function decodeAll(messages: number): void {
      for (let index = 0; index < messages; index++) read = decode(bodies[index % VALUES] as Uint8Array)
    }
    return {
      run: (messages) =>
        timed(async () => {
          work(messages)
          if (half === 'encode' ? bytes === 0 : (read as Value).id === undefined) throw new Error(`${name} did nothing`)
        }),
      close: async () => {},
    }
  },
})
