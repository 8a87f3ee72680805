// A store in a process of its own, to race with others and to be killed.
import { type Answer, type ChildTask, LEASE_MS, openStore, type Order } from './env.ts'
import { loadStoreHarness } from './harness.ts'

const { harness: url, namespace } = JSON.parse(process.argv[2] ?? '{}') as ChildTask
const harness = await loadStoreHarness(url)
const store = await openStore(harness, { namespace })

process.on('message', (order: Order) => {
  obey(order).then(
    (answer) => process.send?.(answer),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`)
      process.exit(1)
    },
  )
})
// Without its parent it has no purpose.
process.on('disconnect', () => process.exit(0))
process.send?.('ready')

async function obey(order: Order): Promise<Answer> {
  if (order.kind === 'race')
    return { outcomes: await Promise.all(Array.from({ length: order.count }, () => store.handle(order.key))) }
  if (harness.kind === 'claim') {
    const claim = await store.claims.claim(order.key, LEASE_MS)
    return { outcomes: [claim.status === 'claimed' ? 'done' : claim.status] }
  }
  return new Promise((resolve, reject) => {
    store
      .handle(order.key, async (tx) => {
        await store.write(tx, order.effect)
        resolve({ outcomes: ['done'] })
        await new Promise<never>(() => {})
      })
      .catch(reject)
  })
}
