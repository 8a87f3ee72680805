// A consumer process of scaling.ts. Says how many messages it has handled, and when the last of them was, by the time of day.
import { connect, consumer } from 'polybus'
import { GROUP } from './brokers/raw.ts'
import { CONCURRENCY } from './contenders.ts'
import { indexOf } from './purchases.ts'
import { FIRST_PROBE, laned, type Order, type Task, type Told } from './scaling-task.ts'

/** How often it looks whether there is something to tell. */
const TELL_MS = 10

const tell = (told: Told): void => void process.send?.(told)

async function main({ url, channel, lanes }: Task): Promise<void> {
  const handled = { probes: 0, messages: 0, at: 0 }
  const bus = await connect({ broker: url, logger: false })
  const [subscription] = await bus.start(
    consumer(laned(channel, lanes), GROUP, {
      concurrency: CONCURRENCY,
      async handler(order) {
        if (indexOf(order) >= FIRST_PROBE) handled.probes++
        else {
          handled.messages++
          handled.at = performance.timeOrigin + performance.now()
        }
      },
    }),
  )
  let last = 0
  const look = (): void => {
    const count = handled.probes + handled.messages
    if (count === last) return
    last = count
    tell({ kind: 'handled', ...handled })
  }
  const timer = setInterval(look, TELL_MS)
  // Also when the parent is gone.
  const end = (): void => {
    clearInterval(timer)
    bus.close().then(
      () => {
        look()
        if (process.connected) process.disconnect()
      },
      (error: unknown) => {
        console.error(error)
        process.exit(1)
      },
    )
  }
  process.once('disconnect', end)
  process.on('message', (order: Order) => {
    if (order === 'hold') {
      subscription?.pause()
      tell({ kind: 'held' })
    } else if (order === 'go') subscription?.resume()
    else {
      process.off('disconnect', end)
      end()
    }
  })
  tell({ kind: 'ready' })
}

await main(JSON.parse(process.argv[2] ?? '') as Task)
