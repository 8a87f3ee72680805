import { expect, test } from 'vitest'
import { assign, type Claim, decodeAssignment, decodeClaim, encodeAssignment, encodeSubscription } from '../src/engine/assignor.ts' // prettier-ignore

const members = (claims: Readonly<Record<string, Claim | undefined>>) =>
  Object.entries(claims).map(([id, claim]) => ({ id, claim }))
const sizes = (shares: ReadonlyMap<string, readonly number[]>): number[] =>
  [...shares.values()].map((own) => own.length)
const from = (shares: ReadonlyMap<string, readonly number[]>, generation: number, without?: string) =>
  Object.fromEntries(
    [...shares].filter(([id]) => id !== without).map(([id, partitions]) => [id, { generation, partitions }]),
  )

test('kafka: every partition has one member, and shares are within one of even', () => {
  for (let count = 1; count <= 5; count++)
    for (const partitions of [1, 2, 7, 8, 12]) {
      const ids = Object.fromEntries(Array.from({ length: count }, (_, n) => [`m${n}`, undefined]))
      const shares = assign(members(ids), partitions, partitions)
      expect([...shares.values()].flat().toSorted((a, b) => a - b)).toEqual(
        Array.from({ length: partitions }, (_, n) => n),
      )
      expect(Math.max(...sizes(shares)) - Math.min(...sizes(shares))).toBeLessThanOrEqual(1)
    }
})

test('kafka: who had a partition keeps it when another joins or leaves', () => {
  const one = assign(members({ a: undefined }), 8, 8)
  const two = assign(members({ ...from(one, 1), b: undefined }), 8, 8)
  expect(two.get('a')?.every((partition) => one.get('a')?.includes(partition))).toBe(true)
  const three = assign(members({ ...from(two, 2), c: undefined }), 8, 8)
  for (const id of ['a', 'b']) expect(three.get(id)?.every((partition) => two.get(id)?.includes(partition))).toBe(true)
  expect(sizes(three).toSorted((a, b) => a - b)).toEqual([2, 3, 3])
  const left = assign(members(from(three, 3, 'b')), 8, 8)
  for (const id of ['a', 'c']) expect(three.get(id)?.every((partition) => left.get(id)?.includes(partition))).toBe(true)
})

test('kafka: of two that claim one partition the later generation has it', () => {
  const shares = assign(
    members({ a: { generation: 3, partitions: [0, 1] }, b: { generation: 5, partitions: [1, 2] } }),
    4,
    4,
  )
  expect(shares.get('b')).toEqual(expect.arrayContaining([1, 2]))
  expect(shares.get('a')).toEqual(expect.arrayContaining([0, 3]))
})

test('kafka: where retry topics have more partitions than the channel, the channel’s own are still even', () => {
  const shares = assign(members({ a: { generation: 1, partitions: [0, 1, 2, 3] }, b: undefined }), 4, 12)
  for (const own of shares.values()) {
    expect(own.filter((partition) => partition < 4)).toHaveLength(2)
    expect(own).toHaveLength(6)
  }
})

test('kafka: what members tell each other survives the way', () => {
  const claim: Claim = { generation: 7, partitions: [0, 5] }
  expect(decodeClaim(encodeSubscription(['orders'], claim))).toEqual(claim)
  expect(decodeClaim(encodeSubscription(['orders'], undefined))).toBeUndefined()
  expect(decodeClaim(Buffer.from('somebody else’s'))).toBeUndefined()
  expect({ ...decodeAssignment(encodeAssignment({ orders: [0, 2], 'orders.mail.retry.1s': [] })) }).toEqual({
    orders: [0, 2],
    'orders.mail.retry.1s': [],
  })
  expect(decodeAssignment(Buffer.alloc(0))).toEqual({})
})
