// The whole program on real brokers: on one that is there, and on one that it brings up itself and is cruel to.
import { connect } from 'node:net'
import { describeBroker } from '@polybus/brokers'
import { describe, expect, test, vi } from 'vitest'
import { expectedOf, firstByDate, lastLine, start } from './support.ts'

/** A line each, the longest first. ElasticMQ keeps nothing over a crash, and is slow. */
const SERVERS = [
  { name: 'sqs', scheme: 'sqs', orders: 300, restarts: 0, replace: false },
  { name: 'kafka', scheme: 'kafka', orders: 1500, restarts: 3, replace: true },
  { name: 'rabbitmq', scheme: 'amqp', orders: 1500, restarts: 3, replace: false },
  { name: 'redis', scheme: 'redis', orders: 1500, restarts: 3, replace: false },
] as const

const answers = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect({ host: '127.0.0.1', port }, () => resolve(true))
    socket.on('error', () => resolve(false)).on('connect', () => socket.destroy())
  })

const SLOW = { timeout: 300_000 }

// Those of several brokers at once: mostly they wait.
vi.setConfig({ maxConcurrency: 3 })
describe.concurrent('orders', async () => {
  for (const { name, scheme, orders, restarts, replace } of SERVERS)
    await describeBroker(
      name,
      (broker) => {
        test(`${name}: the first 600 orders have the same sum, a second time on one server too`, SLOW, async () => {
          for (let run = 1; run <= 2; run++) {
            const { code, out, err } = await start('--orders', '600', '--json', '--broker', broker().url)
            expect(out, err).not.toBe('')
            expect(lastLine(out)).toMatchObject(expectedOf(600))
            expect(code).toBe(0)
          }
        })

        test(
          `${name}: a server that is brought up, named and gone at the end, ${restarts || 'no'} crashes of it, and four processes, two of them killed${replace ? ' and replaced' : ''}: the sum to the cent, nothing lost, out of order or done twice`,
          SLOW,
          async () => {
            const trouble = [
              '--processes',
              '4',
              '--kill',
              '2',
              ...(replace ? ['--replace'] : []),
              ...(restarts > 0 ? ['--restarts', String(restarts)] : []),
            ]
            const { code, out, err } = await start('--broker', `${scheme}:`, '--orders', String(orders), ...trouble)
            expect(out, err).not.toBe('')
            const [, url = ''] = /^Brought up \w+ for this run: (\S+)/m.exec(out) ?? []
            expect(url).toMatch(new RegExp(`^${scheme}://`))
            expect(await answers(Number(new URL(url).port))).toBe(false)

            const cents = firstByDate(orders).reduce((sum, order) => sum + order.cents, 0)
            const dollars = (cents / 100).toLocaleString('en-US', { minimumFractionDigits: 2 })
            expect(out).toContain(`ok    charged $${dollars}, to the cent`)
            for (const [what, none] of [
              ["each customer's order was kept in every group", '0 violations'],
              ['nothing was lost', '0 orders without an end'],
              ['nothing was done twice', '0 repeated effects'],
            ])
              expect(out).toContain(`ok    ${what} (${none})`)
            expect(code).toBe(0)

            // It was done to a run that was at work, in all four.
            const crashes = [...out.matchAll(/^ +at +(\d+) % {2}the broker was killed, and answered again/gm)]
            const kills = [...out.matchAll(/^ +at +(\d+) % {2}process (\d) was killed(, and process \d begun)?/gm)]
            expect(kills.filter(([, , , begun]) => begun !== undefined)).toHaveLength(replace ? 2 : 0)
            expect(crashes).toHaveLength(restarts)
            expect(new Set(kills.map(([, , number]) => number)).size).toBe(2)
            for (const [, percent] of [...crashes, ...kills]) expect(Number(percent)).toBeLessThan(100)
            const [shares = ''] = /^ +Requests to the services: .*$/m.exec(out) ?? []
            expect(shares.match(/ by process [1-4]/g)).toHaveLength(4)
          },
        )
      },
      { instance: 'orders' },
    )
})
