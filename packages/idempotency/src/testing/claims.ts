// What a claim store must do, between claim and complete.
import assert from 'node:assert/strict'
import type { ClaimStore } from '@polybus/core'
import { LEASE_MS, type StoreCase } from './env.ts'

const SHORT_MS = 300

async function fenceOf(store: ClaimStore, key: string, leaseMs = LEASE_MS): Promise<unknown> {
  const claim = await store.claim(key, leaseMs)
  if (claim.status !== 'claimed') throw new Error(`Expected to claim ${key}, it is ${claim.status}`)
  return claim.fence
}
const statusOf = async (store: ClaimStore, key: string, leaseMs = LEASE_MS): Promise<string> =>
  (await store.claim(key, leaseMs)).status

export const claimCases: readonly StoreCase[] = [
  {
    id: 'c1',
    title: 'the first claims, the next is told busy, and after completion all are duplicates',
    kind: 'claim',
    async run({ open }) {
      const { claims } = await open()
      const fence = await fenceOf(claims, 'a')
      assert.equal(await statusOf(claims, 'a'), 'busy')
      assert.equal(await claims.complete('a', fence), true)
      assert.equal(await statusOf(claims, 'a'), 'duplicate')
      assert.equal(await statusOf(claims, 'b'), 'claimed')
    },
  },
  {
    id: 'c2',
    title: 'what was released was never handled, and only its own fence releases a claim',
    kind: 'claim',
    async run({ open }) {
      const { claims } = await open()
      const fence = await fenceOf(claims, 'a')
      const other = await fenceOf(claims, 'b')
      await claims.release('a', other)
      assert.equal(await statusOf(claims, 'a'), 'busy')
      await claims.release('a', fence)
      const again = await fenceOf(claims, 'a')
      await claims.release('a', fence)
      assert.equal(await statusOf(claims, 'a'), 'busy')
      assert.equal(await claims.complete('a', again), true)
      await claims.release('a', again)
      assert.equal(await statusOf(claims, 'a'), 'duplicate')
    },
  },
  {
    id: 'c3',
    title: 'after its lease a claim is taken over, and the late one neither completes, renews nor releases it',
    kind: 'claim',
    async run({ open, until }) {
      const { claims } = await open()
      const late = await fenceOf(claims, 'a', SHORT_MS)
      assert.equal(await statusOf(claims, 'a'), 'busy')
      let fence: unknown
      await until(async () => {
        const claim = await claims.claim('a', LEASE_MS)
        if (claim.status === 'claimed') fence = claim.fence
        return claim.status === 'claimed'
      }, 'the lease to end')
      assert.equal(await claims.complete('a', late), false)
      assert.equal(await claims.renew('a', late, LEASE_MS), false)
      await claims.release('a', late)
      assert.equal(await statusOf(claims, 'a'), 'busy')
      assert.equal(await claims.complete('a', fence), true)
      assert.equal(await claims.complete('a', late), false)
      assert.equal(await statusOf(claims, 'a'), 'duplicate')
    },
  },
  {
    id: 'c4',
    title: 'a renewed claim outlives its first lease',
    kind: 'claim',
    async run({ open, until }) {
      const { claims } = await open()
      const mark = await fenceOf(claims, 'mark', SHORT_MS)
      const fence = await fenceOf(claims, 'a', SHORT_MS)
      assert.equal(await claims.renew('a', fence, LEASE_MS), true)
      // Made before it with the same lease: once it can be taken, the first lease of `a` is over, or will be in a moment.
      await until(async () => (await statusOf(claims, 'mark')) === 'claimed', 'the first lease to end')
      const later = await fenceOf(claims, 'later', SHORT_MS)
      await until(async () => (await statusOf(claims, 'later')) === 'claimed', 'another lease to end')
      assert.equal(await statusOf(claims, 'a'), 'busy')
      assert.equal(await claims.complete('a', fence), true)
      assert.equal(await claims.renew('a', fence, LEASE_MS), false)
      assert.notEqual(mark, later)
    },
  },
  {
    id: 'c5',
    title: 'a lease that ran out and that nobody took is still its owner’s to complete',
    kind: 'claim',
    async run({ open, until }) {
      const { claims } = await open()
      const fence = await fenceOf(claims, 'a', SHORT_MS)
      await fenceOf(claims, 'mark', SHORT_MS)
      await until(async () => (await statusOf(claims, 'mark')) === 'claimed', 'the leases to end')
      assert.equal(await claims.complete('a', fence), true)
      assert.equal(await statusOf(claims, 'a'), 'duplicate')
    },
  },
  {
    id: 'c6',
    title: 'many keys at once each get their own claim and fence',
    kind: 'claim',
    async run({ open }) {
      const { claims } = await open()
      const keys = Array.from({ length: 300 }, (_, index) => `k${index}`)
      const fences = await Promise.all(keys.map((key) => fenceOf(claims, key)))
      assert.deepEqual(
        await Promise.all(keys.map((key) => statusOf(claims, key))),
        keys.map(() => 'busy'),
      )
      const renewed = await Promise.all(keys.map(async (key, index) => claims.renew(key, fences[index], LEASE_MS)))
      assert.deepEqual(new Set(renewed), new Set([true]))
      // Every third is given back, the others are completed; both at once.
      const ends = await Promise.all(
        keys.map(async (key, index) =>
          index % 3 === 0 ? claims.release(key, fences[index]) : claims.complete(key, fences[index]),
        ),
      )
      assert.deepEqual(
        ends,
        keys.map((_, index) => (index % 3 === 0 ? undefined : true)),
      )
      assert.deepEqual(
        await Promise.all(keys.map((key) => statusOf(claims, key))),
        keys.map((_, index) => (index % 3 === 0 ? 'claimed' : 'duplicate')),
      )
    },
  },
  {
    id: 'c7',
    title: 'a key that is forgotten while it runs stays claimed, and its completion is not remembered',
    kind: 'claim',
    async run({ open }) {
      const { claims } = await open()
      const fence = await fenceOf(claims, 'orders:g:1')
      await claims.forget?.('orders:g:')
      assert.equal(await statusOf(claims, 'orders:g:1'), 'busy')
      assert.equal(await claims.complete('orders:g:1', fence), true)
      assert.equal(await statusOf(claims, 'orders:g:1'), 'claimed')
    },
  },
  {
    id: 'c8',
    title: 'cleaning takes no claim that runs',
    kind: 'claim',
    needs: ({ rows }) => (rows ? undefined : 'the harness cannot count rows'),
    async run({ open, harness, namespace, until }) {
      const { claims, handle } = await open({ ttl: `${SHORT_MS}ms`, cleanEvery: '50ms' })
      const fence = await fenceOf(claims, 'runs')
      for (let index = 0; index < 20; index++) assert.equal(await handle(`k${index}`), 'done')
      await until(async () => (await harness.rows?.(namespace)) === 1, 'all but the running claim to be removed')
      assert.equal(await statusOf(claims, 'runs'), 'busy')
      assert.equal(await claims.complete('runs', fence), true)
    },
  },
]
