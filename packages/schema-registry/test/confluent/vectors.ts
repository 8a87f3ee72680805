// What is written by Confluent's Python client (record.ts) and by us, and must be the same.
export interface Vector {
  readonly name: string
  readonly format: 'avro' | 'json' | 'protobuf'
  readonly schema: string
  readonly message?: string
  readonly value: unknown
}

const record = JSON.stringify({
  type: 'record',
  name: 'Order',
  namespace: 'shop',
  fields: [
    { name: 'id', type: 'string' },
    { name: 'cents', type: 'int' },
    { name: 'placedAt', type: 'long' },
    { name: 'weight', type: 'double' },
    { name: 'note', type: ['null', 'string'], default: null },
    { name: 'kind', type: { type: 'enum', name: 'Kind', symbols: ['web', 'shop'] } },
    { name: 'tags', type: { type: 'array', items: 'string' } },
    { name: 'counts', type: { type: 'map', values: 'long' } },
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
})
const order = {
  id: 'é-😀',
  cents: -3,
  placedAt: 1_760_000_000_000,
  weight: 0.25,
  note: 'n',
  kind: 'shop',
  tags: ['a', ''],
  counts: { one: 1 },
  address: { street: 's', paid: true },
}
const json = JSON.stringify({
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Order',
  type: 'object',
  properties: { id: { type: 'string' }, cents: { type: 'integer' } },
  required: ['id'],
})
const proto = `syntax = "proto3";
package shop;
// A message in a comment does not count: message Nobody {}
enum Kind { WEB = 0; SHOP = 1; }
message Address { string street = 1; bool paid = 2 [deprecated = true]; }
message Order {
  option deprecated = false;
  string id = 1;
  int64 cents = 2;
  Kind kind = 3;
  message Line {
    string sku = 1;
    message Deep { sint32 n = 1; }
  }
  repeated Line lines = 4;
  map<string, Address> where = 5;
  oneof payment { string card = 6; bool cash = 7; }
}
message Maps {
  map<string, int32> a = 1;
  message In { bool b = 1; }
  map<string, int32> c = 2;
  message Two { bool b = 1; }
}
`
const messages: readonly (readonly [string, unknown])[] = [
  ['Address', { street: 's', paid: true }],
  [
    'Order',
    {
      id: 'o',
      cents: '9007199254740993',
      kind: 'SHOP',
      lines: [{ sku: 'q' }],
      where: { home: { street: 'x' } },
      card: 'c',
    },
  ],
  ['Order.Line', { sku: 'z' }],
  ['Order.Line.Deep', { n: -4 }],
  ['Maps', { a: { k: 1 } }],
  ['Maps.In', { b: true }],
  ['Maps.Two', { b: true }],
]

export const vectors: readonly Vector[] = [
  { name: 'avro record', format: 'avro', schema: record, value: order },
  { name: 'avro string', format: 'avro', schema: '"string"', value: 'plain' },
  { name: 'json', format: 'json', schema: json, value: { id: 'é', cents: 3 } },
  ...messages.map(([message, value]) => ({
    name: `protobuf ${message}`,
    format: 'protobuf' as const,
    schema: proto,
    message,
    value,
  })),
]
