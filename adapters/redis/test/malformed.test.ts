// Somebody else wrote into our own keys: nobody is stopped by it, and nothing of it vanishes unseen.
import { describeBroker } from '@polybus/brokers'
import { PolybusError } from '@polybus/core'
import { expect, test, vi } from 'vitest'
import { bench, call, create, ids, send, spec, subscribe, until, wire } from './support.ts'

vi.setConfig({ testTimeout: 30_000 })

await describeBroker('redis', (broker) => {
  for (const keyed of [false, true]) {
    const orders = spec('orders', keyed ? { keyed, partitions: 2 } : {})
    const what = keyed ? 'a keyed channel' : 'a plain channel'

    test(`redis: what is due of ${what} and cannot be read goes on as a body, and holds nothing up`, async () => {
      const { connect, client, keys } = bench(broker())
      const adapter = await connect()
      await create(adapter, orders)
      const { due } = keys('orders', keyed)
      // No message of ours, one of a lane that there is not, one without values, one whose values are no texts.
      const packed = ['\x93\xa19\xa1a\xa1b', '\x92\xa10\xa1a', '\x93\xa10\xa1a\x90'].map((text, index) =>
        Buffer.from(`${String(index).padStart(16, '0')}${text}`, 'latin1'),
      )
      const bad = [Buffer.from('junk'), Buffer.from([0xff, 0, 1]), ...packed]
      for (const member of bad) await client.zadd(due('work'), '-inf', member)
      const member = await subscribe(adapter, orders)
      await send(adapter, 'orders', wire({ id: 'after', key: 'a' }))
      const came: Buffer[] = []
      const seen: string[] = []
      await until(async () => {
        const some = await member.take(10, 200)
        for (const { message } of some) came.push(Buffer.from(message.body ?? []))
        seen.push(...ids(some))
        await member.ack(...some)
        return came.length >= bad.length + 1
      }, 'all to come')
      expect(seen).toContain('after')
      expect(await client.zcard(due('work'))).toBe(0)
      for (const body of bad) expect(came.some((one) => one.equals(body))).toBe(true)
    })

    test(`redis: a note of ${what} that cannot be read counts for nothing`, async () => {
      const { connect, client, keys } = bench(broker())
      const adapter = await connect()
      await create(adapter, orders)
      await send(adapter, 'orders', wire({ id: 'one', key: 'a' }))
      const first = await subscribe(adapter, orders)
      const [delivery] = await first.take(1)
      await first.settle({ token: delivery?.token, kind: 'release', headers: [['polybus-attempt', '2']] })
      const { notes } = keys('orders', keyed)
      const [place = ''] = await client.hkeys(notes('work'))
      await client.hset(notes('work'), place, 'junk')
      await first.feed.close()
      const [again] = await (await subscribe(adapter, orders)).take(1)
      expect(again?.message).toMatchObject({ id: 'one', headers: [] })
    })
  }

  test.each([
    ['partitions', 'many'],
    ['partitions', '1000000000'],
    ['partitions', '-1'],
    ['keyed', 'yes'],
  ])('redis: a record whose %s is %j is a conflict that names it', async (field, value) => {
    const { connect, client, keys } = bench(broker())
    const orders = spec('orders', { keyed: true, partitions: 2 })
    await create(await connect(), orders)
    const { meta } = keys('orders', true)
    await client.hset(meta, field, value)
    const other = await connect()
    for (const work of [
      () => subscribe(other, orders),
      () => send(other, 'orders', wire({ key: 'a' })),
      () => other.topology?.plan([orders], call),
    ]) {
      const error = await Promise.resolve(work()).then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      expect(PolybusError.is(error, 'TOPOLOGY_CONFLICT')).toBe(true)
      expect(String(error)).toContain(`'${meta}'`)
      expect(String(error)).toContain(`'${value}'`)
    }
  })
})
