// The memory driver alone, without core: what one message costs to send, receive and settle.
// Run: node bench/dist/memory-driver.js [messages] [groups]
import type { Delivery, Feed, Outgoing, Settlement } from '@polybus/core'
import { memory } from '@polybus/memory'

const SEND = 1000
const RECEIVE = 256
const messages = Number(process.argv[2] ?? 2_000_000)
const groups = Number(process.argv[3] ?? 1)
const signal = new AbortController().signal
const call = { signal }

async function run(keyed: boolean): Promise<number> {
  const adapter = memory()
  await adapter.connect({ signal, namespace: 'bench', service: 'bench', topology: 'create' })
  const names = Array.from({ length: groups }, (_, index) => `group-${index}`)
  const channel = { name: 'orders', keyed, partitions: undefined, groups: names, maxBytes: 262_144 }
  const { changes } = (await adapter.topology?.plan([channel], call)) ?? { changes: [] }
  await adapter.topology?.apply(changes, call)
  const feeds: Feed[] = []
  for (const group of names)
    feeds.push(
      await adapter.subscribe(
        {
          channel,
          group,
          from: 'beginning',
          maxInFlight: 10_000,
          maxBytes: 64 * 2 ** 20,
          durable: false,
          onLost: () => undefined,
          onRevoke: () => Promise.resolve(),
        },
        call,
      ),
    )
  const start = performance.now()
  let made = 0
  let settled = 0
  while (settled < messages * groups) {
    if (made < messages) {
      await adapter.send(batch(made), call)
      made += SEND
    }
    for (const feed of feeds) {
      for (let round = 0; round < Math.ceil(SEND / RECEIVE); round++) {
        const deliveries = await feed.receive(RECEIVE, call)
        await feed.settle(deliveries.map(ack), call)
        settled += deliveries.length
      }
    }
  }
  const seconds = (performance.now() - start) / 1000
  await adapter.close()
  return (messages * groups) / seconds
}

const ack = ({ token }: Delivery): Settlement => ({ token, kind: 'ack' })

const batch = (from: number): Outgoing[] =>
  Array.from({ length: SEND }, (_, index) => {
    const number = from + index
    return {
      handover: number,
      message: {
        id: `0198e5a2-7c3b-7d2e-9f11-${number}`,
        source: 'bench',
        type: 'orders',
        time: 1_700_000_000_000,
        key: `customer-${number % 1000}`,
        headers: [],
        body: new Uint8Array(100),
        contentType: 'application/json',
        dataSchema: undefined,
        correlationId: undefined,
        causationId: undefined,
      },
      to: { kind: 'channel', channel: 'orders' },
    }
  })

for (const keyed of [false, true, false, true]) {
  const perSecond = await run(keyed)
  const heap = Math.round(process.memoryUsage().heapUsed / 2 ** 20)
  console.log(
    `memory driver, ${keyed ? 'keyed' : 'shared'}, ${groups} group(s): ${Math.round(perSecond)} messages/s, heap ${heap} MiB`,
  )
}
