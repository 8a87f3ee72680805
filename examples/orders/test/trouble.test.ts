import { describeBroker } from '@polybus/brokers'
import { expect, test } from 'vitest'
import { firstByDate, lastLine, start } from './support.ts'

interface Told {
  readonly restarts: readonly unknown[]
  readonly kills: readonly { readonly process: number }[]
  readonly requests: Readonly<Record<string, number>>
}

/** One line a broker: its service, and the URL for which a run brings it up itself. SQS's keeps nothing over a crash. */
const SERVERS = [
  { name: 'redis', url: 'redis:', orders: 4000, restarts: 3 },
  { name: 'rabbitmq', url: 'amqp:', orders: 4000, restarts: 3 },
  { name: 'kafka', url: 'kafka:', orders: 4000, restarts: 3 },
  { name: 'sqs', url: 'sqs:', orders: 600, restarts: 0 },
] as const

for (const { name, url, orders, restarts } of SERVERS)
  await describeBroker(name, () => {
    test(
      `${name}: four processes, two of them killed, and ${restarts || 'no'} crashes of the broker: the sum to the cent, nothing lost, out of order or done twice`,
      { timeout: 300_000 },
      async () => {
        const trouble = ['--processes', '4', '--kill', '2', ...(restarts > 0 ? ['--restarts', String(restarts)] : [])]
        const { code, out, err } = await start('--broker', url, '--orders', String(orders), ...trouble, '--json')
        expect(out, err).not.toBe('')
        const told = lastLine(out) as Told
        expect(told).toMatchObject({
          orders,
          charged_cents: firstByDate(orders).reduce((sum, { cents }) => sum + cents, 0),
          lost: 0,
          order_violations: 0,
          repeated_effects: 0,
          ok: true,
        })
        expect(code).toBe(0)
        // It was done to a run that was at work, in all four.
        expect(told.restarts).toHaveLength(restarts)
        expect(new Set(told.kills.map(({ process }) => process)).size).toBe(2)
        expect(Object.keys(told.requests)).toHaveLength(4)
      },
    )
  })
