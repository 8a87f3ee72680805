// The process of memory.ts: what it holds is its own, whatever was measured before it. Publishes and consumes with a bounded backlog; for
// each sample what was sent is handled first, then the garbage is collected.
import { type Bus, connect, consumer } from 'polybus'
import { GROUP, within } from './brokers/raw.ts'
import { checked, CONCURRENCY } from './contenders.ts'
import { createGate, type Gate } from './gate.ts'
import { collector } from './heap.ts'
import type { MemoryTask, MemoryTold } from './memory.ts'
import { indexOf, type Make, purchasesOf } from './purchases.ts'
import { LIMIT_MS } from './trial.ts'

/** For the messages of one sample: a slow broker needs minutes. */
const STEP_LIMIT_MS = 5 * LIMIT_MS
/** Published and not yet handled. */
const BACKLOG = 1000

async function main(
  { url, channel, bytes, messages, step }: MemoryTask,
  tell: (told: MemoryTold) => void,
): Promise<void> {
  const gate = createGate()
  const marks = new Uint8Array(messages)
  let again = 0
  const bus = await connect({ broker: url, logger: false })
  const orders = checked(channel)
  await bus.start(
    consumer(orders, GROUP, {
      concurrency: CONCURRENCY,
      async handler(order) {
        const index = indexOf(order)
        if (marks[index] !== 0) return void again++
        marks[index] = 1
        gate.pass()
      },
    }),
  )
  const collect = collector()
  const make = purchasesOf(bytes)
  for (let sent = step; sent <= messages; sent += step) {
    await within(STEP_LIMIT_MS, `${sent} messages`, pump(bus, orders, make, gate, sent))
    collect()
    const { heapUsed, rss } = process.memoryUsage()
    tell({ sample: { messages: sent, heap: heapUsed, rss }, again })
  }
  await bus.close()
}

/** Publishes up to the number `to`, and waits until all are handled. */
async function pump(bus: Bus, orders: ReturnType<typeof checked>, make: Make, gate: Gate, to: number): Promise<void> {
  for (let sent = gate.count; sent < to;) {
    while (sent < to && sent - gate.count < BACKLOG) bus.publish(orders, make(sent++)).catch(gate.fail)
    await gate.reach(sent - BACKLOG / 2)
  }
  await gate.reach(to)
}

// The parent is gone.
const orphaned = (): void => process.exit(1)
process.once('disconnect', orphaned)
await main(JSON.parse(process.argv[2] ?? '') as MemoryTask, (told) => void process.send?.(told))
process.off('disconnect', orphaned)
process.disconnect()
