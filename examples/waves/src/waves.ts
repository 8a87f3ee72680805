// Three waves, each with programs of its own on the same broker. Nobody stops for another, and nothing is lost on the way.
import { type Bus, type ConnectOptions, connect } from 'polybus'
import { type PriceV1, pricesV1 } from './prices-v1.ts'
import { type PriceV2, pricesV2 } from './prices-v2.ts'
import type { Registry } from './registry.ts'

export interface Seen {
  readonly wave: string
  readonly consumer: 'v1' | 'v2'
  readonly value: PriceV1 | PriceV2
}
export interface Waves {
  readonly seen: readonly Seen[]
  readonly deadLetters: number
}

const LIMIT_MS = 60_000

/** @param options of each program: they share nothing but the broker. */
export async function runWaves(options: () => ConnectOptions, registry: Registry | undefined): Promise<Waves> {
  const [v1, v2] = [pricesV1(registry), pricesV2(registry)]
  const seen: Seen[] = []
  let wave = ''
  const program = (service: string): Promise<Bus> => connect({ ...options(), service })
  const note = (consumer: Seen['consumer'], value: Seen['value']): void => void seen.push({ wave, consumer, value })
  const until = async (count: number): Promise<void> => {
    const deadline = Date.now() + LIMIT_MS
    while (seen.length < count) {
      if (Date.now() > deadline) throw new Error(`${wave}: ${seen.length} of ${count} were handled in time.`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  await using oldPublisher = await program('prices-old')
  await using newPublisher = await program('prices-new')

  wave = 'before: v1 publishes, v1 consumes'
  {
    await using oldShop = await program('shop-old')
    await oldShop.subscribe(v1, 'shop', (price) => note('v1', price))
    await oldPublisher.publish(v1, { sku: 'apple', euros: 0.5 })
    await until(1)
  }

  wave = 'first wave: v1 publishes, v2 consumes'
  // Published while no shop runs: it waits, and the new one gets it.
  await oldPublisher.publish(v1, { sku: 'apple', euros: 0.55 })
  await using newShop = await program('shop-new')
  await newShop.subscribe(v2, 'shop', (price) => note('v2', price))
  await oldPublisher.publish(v1, { sku: 'pear', euros: 1.2 })
  await until(3)

  wave = 'second wave: v1 and v2 publish, v2 consumes'
  await newPublisher.publish(v2, { sku: 'pear', cents: 130, currency: 'EUR' })
  await oldPublisher.publish(v1, { sku: 'plum', euros: 2 })
  await until(5)

  wave = 'after: v2 publishes, v2 consumes'
  await newPublisher.publish(v2, { sku: 'plum', cents: 210, currency: 'CHF' })
  await until(6)

  let deadLetters = 0
  for await (const _ of newShop.deadLetters(v2, 'shop').list()) deadLetters++
  return { seen, deadLetters }
}
