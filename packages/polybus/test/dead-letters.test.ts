// Letters of one id that are not one message.
import type { WireMessage } from '@polybus/core'
import { channel, connect, consumer, trust } from 'polybus'
import { memory } from '@polybus/memory'
import { randomUUID } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'

interface Order {
  readonly from: string
}
const orders = channel('orders', { schema: trust<Order>(), groups: ['charge'] })

/** Two services that number their messages by themselves, and one consumer that fails. */
async function two() {
  const name = `letters-${randomUUID().slice(0, 8)}`
  const open = (service: string) => connect({ broker: memory({ name }), service, logger: false })
  const [shop, returns] = [await open('shop'), await open('returns')]
  onTestFinished(() => Promise.all([shop.close(), returns.close()]).then(() => {}))
  await shop.start(
    consumer(orders, 'charge', {
      retry: false,
      handler: () => Promise.reject(new Error('declined')),
    }),
  )
  await shop.publish(orders, { from: 'shop' }, { id: '1001' })
  await returns.publish(orders, { from: 'returns' }, { id: '1001' })
  const letters = shop.deadLetters(orders, 'charge')
  const froms = async (): Promise<readonly string[]> => {
    const found: string[] = []
    for await (const { message } of letters.list()) found.push(message.source)
    return found.toSorted()
  }
  await expect.poll(froms).toEqual(['returns', 'shop'])
  return { letters, froms }
}

test('one of them was replayed more often: all of them are replayed, and all discarded', async () => {
  const { letters, froms } = await two()
  const onlyReturns = (order: unknown): Order => {
    if ((order as Order).from === 'shop') throw new Error('not this one')
    return order as Order
  }
  expect(await letters.replay({}, { edit: onlyReturns })).toEqual({ done: 1, failed: 1 })
  await expect.poll(froms).toEqual(['returns', 'shop'])
  expect(await letters.replay({})).toEqual({ done: 2, failed: 0 })
  await expect.poll(froms).toEqual(['returns', 'shop'])
  expect(await letters.discard({})).toEqual({ done: 2, failed: 0 })
  expect(await froms()).toEqual([])
})

test('one with a time that no Date can have is not restored, and says so', async () => {
  const { letters } = await two()
  const wires: WireMessage[] = []
  for await (const { wire } of letters.list()) wires.push({ ...wire, time: 1e300 })
  expect(await letters.restore(wires)).toEqual({ done: 0, failed: 2 })
})
