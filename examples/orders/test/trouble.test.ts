import { describeBroker } from '@polybus/brokers'
import { expect, test } from 'vitest'
import { firstByDate, lastLine, start } from './support.ts'

const ORDERS = 4000

interface Told {
  readonly restarts: readonly unknown[]
  readonly kills: readonly { readonly process: number }[]
  readonly requests: Readonly<Record<string, number>>
}

/** One line a broker: its service, and the URL for which a run brings it up itself. */
const SERVERS = [
  { name: 'redis', url: 'redis:' },
  { name: 'rabbitmq', url: 'amqp:' },
] as const

for (const { name, url } of SERVERS)
  await describeBroker(name, () => {
    test(
      `${name}: four processes, two of them killed, and three crashes of the broker: the sum to the cent, nothing lost, out of order or done twice`,
      { timeout: 160_000 },
      async () => {
        const trouble = ['--processes', '4', '--kill', '2', '--restarts', '3']
        const { code, out, err } = await start('--broker', url, '--orders', String(ORDERS), ...trouble, '--json')
        expect(out, err).not.toBe('')
        const told = lastLine(out) as Told
        expect(told).toMatchObject({
          orders: ORDERS,
          charged_cents: firstByDate(ORDERS).reduce((sum, { cents }) => sum + cents, 0),
          lost: 0,
          order_violations: 0,
          repeated_effects: 0,
          ok: true,
        })
        expect(code).toBe(0)
        // It was done to a run that was at work, in all four.
        expect(told.restarts).toHaveLength(3)
        expect(new Set(told.kills.map(({ process }) => process)).size).toBe(2)
        expect(Object.keys(told.requests)).toHaveLength(4)
      },
    )
  })
