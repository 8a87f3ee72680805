// A user with exactly the permissions that the page asks for, and users who lack one of them.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describeBroker } from '@polybus/brokers'
import { type Bus, channel, consumer, createBus, fixed, trust } from '@polybus/core'
import { beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { admit, control, PASSWORD, type Rights } from './control.ts'
import { bench, create, spec, until } from './support.ts'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 60_000 })

const docs = readFileSync(new URL('../../../docs/brokers/rabbitmq.md', import.meta.url), 'utf8')
const namespace = `t${randomUUID().slice(0, 8)}`
const [creating, given] = [
  ...docs.matchAll(/set_permissions -p vhost app '(?<configure>.*)' '(?<write>.*)' '(?<read>.*)'/g),
].map(({ groups = {} }): Rights => {
  const [configure = '', write = '', read = ''] = [groups['configure'], groups['write'], groups['read']].map((rule) =>
    rule?.replaceAll('shop', namespace),
  )
  return { configure, write, read }
}) as [Rights, Rights]
const without = (rule: string, part: string): string => {
  expect(rule).toContain(part)
  return rule.replace(part, 'nothing')
}
const all = String.raw`${namespace}\..*`

interface Lack {
  readonly rights: Rights
  readonly topology: 'create' | 'none'
  readonly keyed: boolean
  readonly needs: RegExp
}
const lacks: Readonly<Record<string, Lack>> = {
  configure: {
    rights: { ...creating, configure: without(creating.configure, all) },
    topology: 'create',
    keyed: false,
    needs: /permission to configure( and read)? '.*\.orders-configure/,
  },
  write: {
    rights: { ...creating, write: without(creating.write, all) },
    topology: 'create',
    keyed: false,
    needs: /permission to write '.*\.orders-write\.work'/,
  },
  read: {
    rights: { ...creating, read: without(creating.read, all) },
    topology: 'create',
    keyed: false,
    needs: /permission to (configure and )?read '.*\.orders-read/,
  },
  'default-exchange': {
    rights: { ...creating, write: without(creating.write, String.raw`amq\.default`) },
    topology: 'create',
    keyed: false,
    needs: /permission to write 'amq\.default'/,
  },
  'members-queue': {
    rights: { ...creating, configure: without(creating.configure, String.raw`amq\.gen.*`) },
    topology: 'create',
    keyed: true,
    needs: /permission to configure and read 'amq\.gen/,
  },
  publishing: {
    rights: { ...given, write: without(given.write, all) },
    topology: 'none',
    keyed: false,
    needs: /permission to write '.*\.there'/,
  },
  consuming: {
    rights: { ...given, read: without(given.read, all) },
    topology: 'none',
    keyed: false,
    needs: /permission to read '.*\.there\.work'/,
  },
  layout: {
    rights: { ...given, configure: without(given.configure, String.raw`${all}:layout`) },
    topology: 'none',
    keyed: true,
    needs: /permission to configure and read '.*\.there-keyed:layout'/,
  },
}

await describeBroker(
  'rabbitmq',
  (broker) => {
    beforeAll(async () => {
      const ctl = control(broker())
      if (!ctl) return
      const users = Object.entries(lacks).map(([name, { rights }]) => [`${namespace}-${name}`, rights] as const)
      await admit(ctl, {
        [`${namespace}-creating`]: creating,
        [`${namespace}-given`]: given,
        ...Object.fromEntries(users),
      })
    })
    const as = (user: string): string => `amqp://${namespace}-${user}:${PASSWORD}@127.0.0.1:${broker().port}`
    beforeEach(({ skip }) => {
      if (!control(broker())) skip('rabbitmqctl is not at hand')
    })
    const busOf = async (user: string, topology: 'create' | 'verify' | 'none'): Promise<Bus> => {
      const bus = await createBus(bench(broker()).open({ url: as(user) }), { namespace, topology, logger: false })
      onTestFinished(() => bus.close())
      return bus
    }

    test.each([
      ['creating', 'create'],
      ['given', 'verify'],
      ['given', 'none'],
    ] as const)(
      'rabbitmq: a user with the permissions of the page (%s) does everything with topology %s',
      async (user, topology) => {
        const [plain, keyed] = [`plain-${topology}`, `keyed-${topology}`]
        if (topology !== 'create') {
          const owner = bench(broker()).open()
          await owner.connect({ signal: new AbortController().signal, namespace, service: 'test', topology: 'create' })
          await create(owner, spec(plain))
          await create(owner, spec(keyed, { keyed: true }))
        }
        const buses = [await busOf(user, topology), await busOf(user, topology)] as const
        const orders = channel(plain, { schema: trust<{ n: number }>(), groups: ['work'] })
        const lanes = channel(keyed, { schema: trust<{ n: number }>(), key: ({ n }) => String(n), groups: ['work'] })
        const seen: string[] = []
        for (const bus of buses) {
          await bus.start(consumer(lanes, 'work', ({ n }) => void seen.push(`keyed ${n}`)))
          await bus.start(
            consumer(orders, 'work', {
              retry: { attempts: 2, backoff: fixed('1s'), wait: 'released' },
              handler({ n }, { attempt, message }) {
                seen.push(`${n}/${attempt}`)
                if (attempt === 1 || (n === 2 && seen.filter((each) => each === '2/2').length === 1))
                  throw new Error(`not yet: ${message.id}`)
              },
            }),
          )
        }
        const [bus] = buses
        for (let n = 0; n < 8; n++) await bus.publish(lanes, { n })
        await bus.publish(orders, { n: 1 })
        await bus.publish(orders, { n: 2 })
        await until(() => seen.filter((each) => each.startsWith('keyed')).length === 8, 'all of the keyed channel')
        await until(() => seen.includes('1/2') && seen.includes('2/2'), 'the retries')
        await until(async () => (await bus.stats(orders, 'work')).deadLetters === 1, 'the dead letter')
        const replayed = await bus.deadLetters(orders, 'work').replay({})
        expect(replayed).toEqual({ done: 1, failed: 0 })
        await until(() => seen.filter((each) => each === '2/2').length === 2, 'the replay')
        await until(async () => (await bus.stats(orders, 'work')).deadLetters === 0, 'no dead letter')
      },
    )

    test.each(Object.entries(lacks))(
      'rabbitmq: a user who lacks a permission (%s) is told which, at once',
      async (name, { topology, keyed, needs }) => {
        const place = topology === 'create' ? `orders-${name}` : keyed ? 'there-keyed' : 'there'
        if (topology === 'none') {
          const owner = bench(broker()).open()
          await owner.connect({ signal: new AbortController().signal, namespace, service: 'test', topology: 'create' })
          await create(owner, spec(place, { keyed }))
        }
        const bus = await busOf(name, topology)
        const orders = channel(place, {
          schema: trust<object>(),
          groups: ['work'],
          ...(keyed && { key: () => 'k' }),
        })
        const start = Date.now()
        const error: unknown = await (async () => {
          await bus.publish(orders, {})
          await bus.start(consumer(orders, 'work', () => {}))
        })().catch((thrown: unknown) => thrown)
        expect(error).toMatchObject({ code: 'ACCESS_DENIED', retryable: false })
        expect(String(error)).toMatch(needs)
        expect(String(error)).toContain('docs/brokers/rabbitmq.md')
        expect(Date.now() - start).toBeLessThan(10_000)
      },
    )
  },
  { instance: 'rabbitmq-trouble' },
)
