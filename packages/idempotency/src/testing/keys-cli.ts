// How long a claim takes in a store that holds few keys, and in one that holds very many:
// node keys-cli.js <module of a StoreHarness> [keys, default 1000000]
import { randomUUID } from 'node:crypto'
import { pathToFileURL } from 'node:url'
import { systemClock } from '@polybus/core'
import { openStore } from './env.ts'
import { loadStoreHarness } from './harness.ts'

const SAMPLES = 1000
const FEW = 1000
const AT_ONCE = 500

const [file = '', count = '1000000'] = process.argv.slice(2)
const keys = Number(count)
if (file === '' || !(keys >= FEW)) throw new Error('Usage: keys-cli <module of a store harness> [keys]')

const clock = systemClock()
const harness = await loadStoreHarness(pathToFileURL(file))
const namespace = `keys_${randomUUID().slice(0, 8)}`

try {
  await harness.prepare?.(namespace)
  const store = await openStore(harness, { namespace, timeout: '60s' })
  await store.handle('first')
  const fill = async (some: number): Promise<void> => {
    if (harness.fill) return harness.fill(namespace, some)
    for (let from = 0; from < some; from += AT_ONCE)
      await Promise.all(Array.from({ length: Math.min(AT_ONCE, some - from) }, () => store.handle(randomUUID())))
  }
  /** In microseconds, one after the other, so that nothing is hidden in a batch. */
  const sample = async (): Promise<{ readonly median: number; readonly p95: number }> => {
    const times: number[] = []
    for (let index = 0; index < SAMPLES; index++) {
      const start = clock.now()
      await store.handle(`orders:filled:polybus:${randomUUID()}`)
      times.push(clock.now() - start)
    }
    times.sort((a, b) => a - b)
    const at = (share: number): number => Math.round((times[Math.floor(times.length * share)] ?? 0) * 1000)
    return { median: at(0.5), p95: at(0.95) }
  }
  await fill(FEW)
  await sample()
  const few = await sample()
  await fill(keys)
  await sample()
  const many = await sample()
  const held = await harness.rows?.(namespace)
  const report = {
    store: harness.name,
    keys,
    held,
    medianMicroseconds: { few: few.median, many: many.median },
    p95Microseconds: { few: few.p95, many: many.p95 },
    ratio: Math.round((many.median / few.median) * 100) / 100,
  }
  process.stdout.write(`${JSON.stringify(report)}\n`)
  await store.close()
} finally {
  await harness.cleanup?.(namespace)
}
