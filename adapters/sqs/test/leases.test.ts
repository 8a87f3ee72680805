// Visibility: what is ours, for how long, and what becomes of it.
import { describeBroker } from '@polybus/brokers'
import { type Clock, sleep } from '@polybus/core'
import { expect, test, vi } from 'vitest'
import { bench, call, clock, create, ids, numbered, send, spec, subscribe, until, wire } from './support.ts'

const fifo = spec('orders', { keyed: true })
const standard = spec('orders')

// A busy machine is slow, and so is SQS.
vi.setConfig({ testTimeout: 30_000 })

await describeBroker(
  'sqs',
  (broker) => {
    for (const channel of [standard, fifo]) {
      const kind = channel.keyed ? 'FIFO' : 'standard'

      test(`sqs ${kind}: a receive that is aborted leaves no message hidden: the next one has it at once`, async () => {
        const { connect } = await bench(broker())
        const adapter = await connect({ visibilityMs: 30_000 })
        await create(adapter, channel)
        const { feed, take } = await subscribe(adapter, channel)
        for (let round = 0; round < 3; round++) {
          const stop = new AbortController()
          const waiting = feed.receive(10, stop)
          await sleep(clock, 50)
          stop.abort()
          expect(await waiting).toEqual([])
          await send(adapter, 'orders', wire({ id: `m-${round}`, key: `k-${round}` }))
          const [delivery] = await take(1, 3000)
          expect([delivery?.message.id, delivery?.count]).toEqual([`m-${round}`, 1])
        }
      })

      test(`sqs ${kind}: what an aborted receive brings is given back at the close`, async () => {
        const { connect } = await bench(broker())
        const adapter = await connect({ visibilityMs: 30_000 })
        await create(adapter, channel)
        const first = await subscribe(adapter, channel)
        const stop = new AbortController()
        const waiting = first.feed.receive(10, stop)
        await sleep(clock, 50)
        stop.abort()
        await waiting
        await send(adapter, 'orders', wire({ id: 'm', key: 'k' }))
        await first.feed.close()
        const second = await subscribe(adapter, channel)
        expect(ids(await second.take(1, 3000))).toEqual(['m'])
      })

      test(`sqs ${kind}: a settlement after the end of the lease is late, and says so without touching the new owner's`, async () => {
        const { connect } = await bench(broker())
        const adapter = await connect({ visibilityMs: 1000 })
        await create(adapter, channel)
        await send(adapter, 'orders', wire({ id: 'm', key: 'k' }))
        const first = await subscribe(adapter, channel)
        const [delivery] = await first.take(1)
        await until(() => first.lost.length === 1, 'the loss')
        const longer = await connect({ visibilityMs: 30_000 })
        const second = await subscribe(longer, channel)
        const [again] = await second.take(1)
        expect(again?.message.id).toBe('m')
        const late = await first.settle({ token: delivery?.token, kind: 'ack' })
        expect(late[0]?.ok === false && late[0].error.code).toBe('LEASE_LOST')
        const moved = await first.settle({
          token: delivery?.token,
          kind: 'move',
          to: { kind: 'dead-letter', channel: 'orders', group: 'work' },
          headers: [],
        })
        expect(moved[0]?.ok === false && moved[0].error.code).toBe('LEASE_LOST')
        const stats = await adapter.stats?.read(channel, 'work', call)
        expect([stats?.inFlight, stats?.deadLetters]).toEqual([1, 0])
        if (again) await second.ack(again)
      })

      test(`sqs ${kind}: a lease that was taken away unseen is lost at the next extension`, async () => {
        const { connect, gateway, namespace } = await bench(broker())
        const adapter = await connect({ visibilityMs: 30_000 })
        await create(adapter, channel)
        await send(adapter, 'orders', wire({ id: 'm', key: 'k' }))
        const first = await subscribe(adapter, channel)
        const [delivery] = await first.take(1)
        expect(await gateway.expire(namespace)).toBe(1)
        const second = await subscribe(adapter, channel)
        expect(ids(await second.take(1))).toEqual(['m'])
        const [extended] = (await first.feed.extend?.([delivery?.token], call)) ?? []
        expect(extended?.ok === false && extended.error.code).toBe('LEASE_LOST')
      })
    }

    test('sqs: nothing is held beyond twelve hours: the last extension is cut short, the next one says lost', async () => {
      const { connect } = await bench(broker())
      let ahead = 0
      const shifted: Clock = { ...clock, now: () => clock.now() + ahead }
      const adapter = await connect({ visibilityMs: 30_000, clock: shifted })
      await create(adapter, standard)
      await send(adapter, 'orders', wire())
      const member = await subscribe(adapter, standard)
      const [delivery] = await member.take(1)
      const extend = async (): Promise<number | string | undefined> => {
        const [result] = (await member.feed.extend?.([delivery?.token], call)) ?? []
        return result?.ok ? result.value : result?.error.code
      }
      expect(await extend()).toBeGreaterThan(25_000)
      // The timer of its lease counts in the clock's own time, which does not jump.
      ahead = 12 * 3_600_000 - 10_000
      const last = await extend()
      expect(last).toBeGreaterThan(5000)
      expect(last).toBeLessThanOrEqual(10_000)
      ahead = 12 * 3_600_000
      expect(await extend()).toBe('LEASE_LOST')
    })

    test('sqs FIFO: where one of a key is lost the later ones are lost too, and come again in order', async () => {
      const { connect, gateway, namespace } = await bench(broker())
      const adapter = await connect({ visibilityMs: 30_000 })
      await create(adapter, fifo)
      await send(adapter, 'orders', ...numbered(4, { key: 'k' }))
      const first = await subscribe(adapter, fifo)
      const held = await first.take(4)
      expect(ids(held)).toEqual(['m-0', 'm-1', 'm-2', 'm-3'])
      const [head, second] = held
      if (head) await first.ack(head)
      // Only the second, behind our back.
      expect(await gateway.expire(namespace, ({ MessageId }) => MessageId === second?.position)).toBe(1)
      const other = await subscribe(adapter, fifo)
      expect(ids(await other.take(1))).toEqual(['m-1'])
      const [extended] = (await first.feed.extend?.([second?.token], call)) ?? []
      expect(extended?.ok).toBe(false)
      expect(first.lost).toEqual(held.slice(2).map(({ token }) => token))
      // They were given back, and stand behind the one that the other member holds.
      const stats = async (): Promise<unknown> => (await adapter.stats?.read(fifo, 'work', call))?.inFlight
      await until(
        async () => (await stats()) === 1,
        async () => `all but one to be given back; in flight ${String(await stats())}`,
      )
    })

    test('sqs FIFO: all of a key that is given back comes again in order, and none while an earlier one is held', async () => {
      const { connect } = await bench(broker())
      const adapter = await connect({ visibilityMs: 30_000 })
      await create(adapter, fifo)
      await send(adapter, 'orders', ...numbered(14, { key: 'k' }))
      const first = await subscribe(adapter, fifo)
      const held = await first.take(10)
      const second = await subscribe(adapter, fifo)
      // Of ten the later seven.
      const back = held.slice(3).map(({ token }) => ({ token, kind: 'release' }) as const)
      for (const result of await first.settle(...back)) expect(result.ok).toBe(true)
      expect(await second.take(1, 1500)).toEqual([])
      await first.feed.close()
      const again: string[] = []
      while (again.length < 14) {
        const some = await second.take(1)
        again.push(...ids(some))
        await second.ack(...some)
        if (some.length === 0) break
      }
      expect(again).toEqual(Array.from({ length: 14 }, (_, n) => `m-${n}`))
    })

    test('sqs: a poll that is cut, or answered with 500, loses no delivery', async () => {
      const { connect, gateway, proxy } = await bench(broker())
      const adapter = await connect({ visibilityMs: 30_000 })
      await create(adapter, standard)
      await send(adapter, 'orders', wire({ id: 'held' }))
      const member = await subscribe(adapter, standard)
      const [delivery] = await member.take(1)
      const waiting = member.take(1, 15_000)
      await sleep(clock, 100)
      // Longer than what is left of the poll that is cut: it would take the next message with it.
      const failing = gateway.fail('ReceiveMessage', 8)
      proxy.cut()
      await until(() => failing.left === 0, 'all failures')
      const other = await connect()
      await create(other, standard)
      await send(other, 'orders', wire({ id: 'next' }))
      expect(ids(await waiting)).toEqual(['next'])
      expect(member.lost).toEqual([])
      expect((await member.settle({ token: delivery?.token, kind: 'ack' }))[0]?.ok).toBe(true)
    })

    test('sqs: what a broken feed held is given back by the next one, before its lease is over', async () => {
      const { connect, proxy, namespace } = await bench(broker())
      const adapter = await connect({ visibilityMs: 60_000 })
      await create(adapter, standard)
      await send(adapter, 'orders', ...numbered(3))
      const member = await subscribe(adapter, standard)
      expect(await member.take(3)).toHaveLength(3)
      proxy.down()
      await expect(
        (async () => {
          for (;;) await member.feed.receive(1, call)
        })(),
      ).rejects.toMatchObject({ code: 'CONNECTION_FAILED' })
      await member.feed.close()
      await proxy.up()
      await adapter.connect({ ...call, namespace, service: 'test', topology: 'create' })
      const next = await subscribe(adapter, standard)
      expect(await next.take(3, 3000)).toHaveLength(3)
    })

    test('sqs: polls that do not wait at the queue are paced, and messages still come soon', async () => {
      const { connect, gateway } = await bench(broker())
      const adapter = await connect({ waitMs: 0 })
      await create(adapter, standard)
      const member = await subscribe(adapter, standard)
      expect(await member.take(1, 2000)).toEqual([])
      expect(gateway.asked('ReceiveMessage')).toBeLessThanOrEqual(10)
      await send(adapter, 'orders', wire({ id: 'm' }))
      expect(ids(await member.take(1))).toEqual(['m'])
    })
  },
  { instance: 'tests' },
)
