import assert from 'node:assert/strict'
import { able, browsing, type Case } from '../case.ts'
import { wireMessage as wire } from '../driver.ts'
import { comparable, driver, sameBytes, sorted, sortedIds } from './driver-tools.ts'

export const cases: readonly Case[] = [
  {
    id: 'd1',
    title: 'a message comes back with every attribute, for every declared group',
    tier: 'driver',
    async run(env) {
      const { send, subscribe } = await driver(env, { groups: ['work', 'other'] })
      const bytes = Uint8Array.from({ length: 256 }, (_, index) => index)
      const { headers: can } = env.plain
      const message = wire({
        key: 'clé-鍵',
        headers: [
          ['plain', 'text'],
          ['unicode-ключ'.normalize(), '✓ value'],
          ...(can.empty ? ([['empty', '']] as const) : []),
          ...(can.binary ? ([['binary', bytes]] as const) : []),
          ...(can.duplicates ? ([['plain', 'again']] as const) : []),
          ['polybus-attempt', '3'],
        ],
        body: bytes,
        dataSchema: 'urn:schema:1',
        correlationId: 'c-1',
        causationId: 'c-0',
      })
      await send(message)
      for (const group of ['work', 'other']) {
        const [delivery] = await (await subscribe(group)).take(1)
        assert.ok(delivery, `${group} receives it`)
        const { body, headers, ...attributes } = delivery.message
        const { body: _, headers: __, ...expected } = message
        sameBytes(body, bytes)
        assert.deepEqual(comparable(headers, can), comparable(message.headers, can))
        assert.deepEqual({ ...attributes }, { ...expected })
        assert.notEqual(delivery.position, '')
      }
    },
  },
  {
    id: 'd2',
    title: 'empty and null bodies come back as such',
    tier: 'driver',
    async run(env) {
      const { send, subscribe } = await driver(env)
      const bodies = [new Uint8Array(0), ...(env.plain.tombstones ? [null] : []), new Uint8Array(1)]
      for (const body of bodies) await send(wire({ body }))
      const deliveries = await (await subscribe('work')).take(bodies.length)
      const lengths = (list: readonly (Uint8Array | null)[]): readonly number[] =>
        list.map((body) => body?.length ?? -1).sort((a, b) => a - b)
      assert.deepEqual(lengths(deliveries.map(({ message }) => message.body)), lengths(bodies))
    },
  },
  {
    id: 'd3',
    title: 'what is acknowledged is gone, what is not comes back once the feed closes',
    tier: 'driver',
    async run(env) {
      const { send, subscribe } = await driver(env)
      const messages = [wire(), wire(), wire()]
      for (const message of messages) await send(message)
      const first = await subscribe('work')
      const deliveries = await first.take(3)
      assert.deepEqual(sortedIds(deliveries), sorted(messages.map(({ id }) => id)))
      // The first in order, so that it goes for a log's prefix too.
      const [done, ...rest] = deliveries
      assert.ok(done)
      await first.ack(done)
      await first.feed.close()
      const second = await subscribe('work')
      const again = await second.take(2)
      assert.deepEqual(sortedIds(again), sortedIds(rest))
      await second.ack(...again)
      assert.deepEqual(await second.take(1, 300), [], 'nothing is left')
    },
  },
  {
    id: 'd4',
    title: 'a move to the dead letters keeps the original and sets our headers exactly',
    tier: 'driver',
    needs: browsing,
    async run(env) {
      const { adapter, channel, send, subscribe, to } = await driver(env, { groups: ['work', 'other'] })
      const body = Buffer.from([0, 255, 10, 13])
      const message = wire({
        key: 'k',
        body,
        headers: [
          ['a', '1'],
          ['polybus-attempt', '4'],
          ['b', '2'],
        ],
      })
      await send(message)
      const member = await subscribe('work')
      const [delivery] = await member.take(1)
      assert.ok(delivery)
      const [result] = await member.settle({
        token: delivery.token,
        kind: 'move',
        to: to('dead-letter', 'work'),
        headers: [
          ['polybus-reason', 'invalid'],
          ['polybus-error-message', 'né'],
        ],
      })
      assert.ok(result?.ok)
      assert.deepEqual(await member.take(1, 300), [], 'the source is finished')
      const session = await adapter.browse?.open(channel, 'work', env.call)
      const [letter, ...more] = (await session?.next(10, env.call)) ?? []
      assert.ok(letter)
      assert.equal(more.length, 0)
      sameBytes(letter.message.body, body)
      assert.equal(letter.message.id, message.id)
      assert.equal(letter.message.key, 'k')
      assert.deepEqual(
        comparable(letter.message.headers, env.plain.headers),
        comparable(
          [
            ['a', '1'],
            ['b', '2'],
            ['polybus-reason', 'invalid'],
            ['polybus-error-message', 'né'],
          ],
          env.plain.headers,
        ),
      )
      await session?.close()
      assert.equal((await (await subscribe('other')).take(1)).length, 1, 'the other group is untouched')
      const others = await adapter.browse?.open(channel, 'other', env.call)
      assert.deepEqual(await others?.next(10, env.call), [])
      await others?.close()
    },
  },
  {
    id: 'd5',
    title: 'a move to the group reaches that group alone, not before its delay',
    tier: 'driver',
    needs: able('delay', ({ plain }) => plain.delay.kind !== 'none'),
    async run(env) {
      const { send, subscribe, to } = await driver(env, { groups: ['work', 'other'] })
      const delayMs = env.plain.delay.kind === 'ladder' ? 1000 : 400
      const message = wire({ headers: [['a', '1']] })
      await send(message)
      const member = await subscribe('work')
      const [delivery] = await member.take(1)
      assert.ok(delivery)
      const start = env.clock.now()
      const [result] = await member.settle({
        token: delivery.token,
        kind: 'move',
        to: to('group', 'work', delayMs),
        headers: [['polybus-attempt', '1']],
      })
      assert.ok(result?.ok)
      const [again] = await member.take(1)
      assert.ok(again, 'it comes again')
      const waited = env.clock.now() - start
      assert.ok(waited >= delayMs - 5, `not before its delay: ${waited} ms`)
      assert.ok(waited < delayMs + env.limit(2000), `soon after its delay: ${waited} ms`)
      assert.equal(again.message.id, message.id)
      assert.deepEqual(
        comparable(again.message.headers, env.plain.headers),
        comparable(
          [
            ['a', '1'],
            ['polybus-attempt', '1'],
          ],
          env.plain.headers,
        ),
      )
      await member.ack(again)
      const other = await subscribe('other')
      assert.equal((await other.take(2, 500)).length, 1, 'the other group gets the first copy alone')
    },
  },
  {
    id: 'd6',
    title: 'a released message comes back, in order, with its headers where the adapter says so',
    tier: 'driver',
    async run(env) {
      const { send, subscribe } = await driver(env, { keyed: env.keyed.ordering })
      const messages = [1, 2, 3].map((n) => wire({ key: 'k', headers: [['n', String(n)]] }))
      for (const message of messages) await send(message)
      const member = await subscribe('work')
      const deliveries = await member.take(3)
      const results = await member.settle(
        ...deliveries.map(({ token }) => ({ token, kind: 'release', headers: [['polybus-attempt', '1']] }) as const),
      )
      assert.ok(results.every(({ ok }) => ok))
      await member.feed.close()
      const again = await (await subscribe('work')).take(3)
      assert.deepEqual(sortedIds(again), sortedIds(deliveries))
      if (env.keyed.ordering)
        assert.deepEqual(
          again.map(({ message }) => message.id),
          messages.map(({ id }) => id),
          'in order',
        )
      if (env.keyed.releaseHeaders)
        for (const { message } of again)
          assert.ok(message.headers.some(([name, value]) => name === 'polybus-attempt' && value === '1'))
    },
  },
  {
    id: 'd7',
    title: 'a lease that is extended stays ours; one that is not is lost and comes again',
    tier: 'driver',
    needs: able('lease that runs out', ({ plain }) => plain.lease.ms !== null && plain.lease.ms <= 10_000),
    async run(env) {
      const { send, subscribe } = await driver(env)
      const leaseMs = env.plain.lease.ms ?? 0
      await send(wire({ headers: [['keep', '1']] }))
      await send(wire({ headers: [['keep', '0']] }))
      const member = await subscribe('work')
      const deliveries = await member.take(2)
      const keep = deliveries.find(({ message }) =>
        message.headers.some(([name, value]) => name === 'keep' && value === '1'),
      )
      const drop = deliveries.find((delivery) => delivery !== keep)
      assert.ok(keep && drop)
      assert.ok((drop.leaseMs ?? 0) > 0)
      const renew = env.plain.lease.renewable && member.feed.extend
      const end = env.clock.now() + 2.5 * leaseMs
      let back: readonly { message: { id: string | undefined } }[] = []
      const second = await subscribe('work')
      while (env.clock.now() < end) {
        if (renew) assert.ok((await member.feed.extend?.([keep.token], env.call))?.[0]?.ok, 'the extension is granted')
        back = [...back, ...(await second.take(2, leaseMs / 4)), ...(await member.take(1, 1))]
      }
      await env.waitFor(() => member.lost.includes(drop.token), 'onLost for the lease that ran out')
      assert.ok(
        back.some(({ message }) => message.id === drop.message.id),
        'the lost one came again',
      )
      const [late] = await member.settle({ token: drop.token, kind: 'ack' })
      if (env.plain.lateSettle === 'always')
        assert.ok(late && !late.ok && late.error.code === 'LEASE_LOST', 'a late settlement is told so')
      if (!renew) return
      assert.ok(!back.some(({ message }) => message.id === keep.message.id), 'the extended one did not')
      assert.ok(!member.lost.includes(keep.token))
      await member.ack(keep)
    },
  },
  {
    id: 'd12',
    title: 'no more is leased than there is room for, in messages and in bytes',
    tier: 'driver',
    async run(env) {
      const { send, subscribe } = await driver(env)
      for (let n = 0; n < 10; n++) await send(wire({ body: new Uint8Array(1000) }))
      const few = await subscribe('work', { maxInFlight: 3 })
      assert.equal((await few.take(3)).length, 3)
      assert.deepEqual(await few.take(7, 400), [])
      await few.feed.close()
      const small = await subscribe('work', { maxBytes: 3500 })
      // One receive may overshoot, so each asks for little.
      const taken = [...(await small.take(1))]
      for (let more = await small.take(1, 400); more.length > 0; more = await small.take(1, 400)) taken.push(...more)
      assert.ok(taken.length <= 4, `${taken.length} messages of 1,000 bytes for 3,500 bytes of room`)
      await small.ack(...taken)
      assert.ok((await small.take(1)).length === 1, 'room that was given back is used')
    },
  },
  {
    id: 'd13',
    title: 'receive waits for a message, and ends at once when its signal aborts',
    tier: 'driver',
    async run(env) {
      const { send, subscribe } = await driver(env)
      const { feed, take } = await subscribe('work')
      const start = env.clock.now()
      const aborted = AbortSignal.abort()
      await feed.receive(1, { signal: aborted }).catch(() => [])
      assert.ok(env.clock.now() - start < env.limit(500))
      const pending = take(1)
      await send(wire())
      assert.equal((await pending).length, 1)
      const stop = new AbortController()
      const waiting = feed.receive(1, { signal: stop.signal }).catch(() => [])
      stop.abort()
      const abortedAt = env.clock.now()
      assert.deepEqual(await waiting, [])
      assert.ok(env.clock.now() - abortedAt < env.limit(500))
    },
  },
  {
    id: 'd16',
    title: 'every hand-over is counted',
    tier: 'driver',
    needs: able('crash guard', ({ plain }) => plain.crashGuard !== null),
    async run(env) {
      const { send, subscribe } = await driver(env)
      await send(wire())
      for (let count = 1; count <= 3; count++) {
        const member = await subscribe('work')
        const [delivery] = await member.take(1)
        assert.equal(delivery?.count, count)
        await member.feed.close()
      }
    },
  },
]
