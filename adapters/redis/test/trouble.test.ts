// What is wrong on the server, and what it says then.
import { createServer } from 'node:net'
import { once } from 'node:events'
import { inspect } from 'node:util'
import type { AddressInfo } from 'node:net'
import { describeBroker } from '@polybus/brokers'
import { PolybusError } from '@polybus/core'
import { expect, onTestFinished, test } from 'vitest'
import { redis } from '../src/index.ts'
import { bench, call, clock, create, ids, numbered, send, spec, subscribe, until, wire } from './support.ts'

const failure = async (work: Promise<unknown> | undefined): Promise<PolybusError> => {
  try {
    await work
  } catch (error) {
    if (PolybusError.is(error)) return error
    throw error
  }
  throw new Error('it did not fail')
}

await describeBroker(
  'redis',
  (broker) => {
    test('redis: a key of the wrong type is a conflict that names the key', async () => {
      const { connect, client, namespace } = bench(broker())
      await client.set(`${namespace}:orders`, 'a text')
      const adapter = await connect()
      const plan = await adapter.topology?.plan([spec('orders')], call)
      expect(plan?.conflicts.map(({ text }) => text).join()).toContain(`'${namespace}:orders'`)
      const error = await failure(subscribe(adapter, spec('orders')))
      expect([error.code, error.retryable]).toEqual(['TOPOLOGY_CONFLICT', false])
      expect(error.message).toContain(`'${namespace}:orders'`)
    })

    test('redis: another number of partitions, or no keys, is a conflict, for whoever comes second', async () => {
      const { connect } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders', { keyed: true, partitions: 4 }))
      const other = await connect()
      for (const wrong of [{ keyed: true, partitions: 5 }, { keyed: false }])
        expect((await other.topology?.plan([spec('orders', wrong)], call))?.conflicts).toHaveLength(1)
      const changes = [
        { kind: 'create-channel', name: 'orders', text: '', channel: spec('orders', { keyed: true, partitions: 5 }) },
      ]
      const error = await failure(other.topology?.apply(changes, call))
      expect(error.code).toBe('TOPOLOGY_CONFLICT')
      expect(error.message).toContain('4 partitions')
      // Who names no number takes what is there.
      expect((await other.topology?.plan([spec('orders', { keyed: true })], call))?.changes).toEqual([])
    })

    test('redis: topology none creates nothing', async () => {
      const { connect, client, namespace } = bench(broker())
      const adapter = await connect({}, 'none')
      expect((await failure(subscribe(adapter, spec('orders')))).code).toBe('TOPOLOGY_MISSING')
      expect((await failure(send(adapter, 'orders', wire()))).code).toBe('TOPOLOGY_MISSING')
      expect(await client.keys(`*${namespace}*`)).toEqual([])
    })

    test('redis: a stream that was deleted is missing, not made without its groups', async () => {
      const { connect, client, namespace } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      await client.del(`${namespace}:orders`)
      const error = await failure(send(adapter, 'orders', wire()))
      expect([error.code, error.retryable, error.sent]).toEqual(['TOPOLOGY_MISSING', true, 'no'])
      expect(await client.exists(`${namespace}:orders`)).toBe(0)
    })

    test('redis: a full memory refuses a whole transaction, certainly not sent, and takes it later', async () => {
      const { connect, client } = bench(broker())
      const adapter = await connect()
      const keyed = spec('orders', { keyed: true })
      await create(adapter, keyed)
      await client.config('SET', 'maxmemory', '1mb')
      onTestFinished(() => void client.config('SET', 'maxmemory', '0').catch(() => undefined))
      const batch = ['a', 'b', 'a'].map((key) => ({
        handover: 0,
        message: wire({ key }),
        to: { kind: 'channel', channel: 'orders' } as const,
      }))
      const results = await adapter.send(batch, call)
      expect(
        results.map((result) => !result.ok && [result.error.code, result.error.retryable, result.error.sent]),
      ).toEqual(batch.map(() => ['BROKER_BUSY', true, 'no']))
      await client.config('SET', 'maxmemory', '0')
      expect((await adapter.send(batch, call)).every(({ ok }) => ok)).toBe(true)
      expect(await (await subscribe(adapter, keyed)).take(3)).toHaveLength(3)
    })

    test('redis: scripts that somebody flushed are loaded again', async () => {
      const { connect, client } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      const member = await subscribe(adapter, spec('orders'))
      await send(adapter, 'orders', wire())
      const [delivery] = await member.take(1)
      await client.script('FLUSH')
      const to = { kind: 'dead-letter', channel: 'orders', group: 'work' } as const
      const results = await member.settle({ token: delivery?.token, kind: 'move', to, headers: [] })
      expect(results).toEqual([{ ok: true, value: undefined }])
      await client.script('FLUSH')
      expect(await adapter.stats?.read(spec('orders'), 'work', call)).toMatchObject({ inFlight: 0, deadLetters: 1 })
    })

    test('redis: a server that becomes a replica is left, and taken again when it is a master', async () => {
      const { connect, client, namespace } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      const member = await subscribe(adapter, spec('orders'))
      await client.replicaof('127.0.0.1', 1)
      onTestFinished(() => void client.replicaof('NO', 'ONE').catch(() => undefined))
      expect((await failure(send(adapter, 'orders', wire()))).code).toBe('CONNECTION_FAILED')
      expect((await failure(member.take(1))).code).toBe('CONNECTION_FAILED')
      const again = { ...call, namespace, service: 'test', topology: 'create' } as const
      const error = await failure(adapter.connect(again))
      expect([error.code, error.retryable]).toEqual(['CONNECTION_FAILED', true])
      await client.replicaof('NO', 'ONE')
      await adapter.connect(again)
      await send(adapter, 'orders', wire({ id: 'after' }))
      expect(ids(await (await subscribe(adapter, spec('orders'))).take(1))).toEqual(['after'])
    })

    test('redis: a connection that is lost is told unasked, once, and one that is closed is not', async () => {
      const { open, client, namespace } = bench(broker())
      const adapter = open()
      const lost: string[] = []
      const connect = (as: string): Promise<void> =>
        adapter.connect({
          ...call,
          namespace,
          service: 'test',
          topology: 'create',
          onLost: (error) => void lost.push(`${as} ${error.code}`),
        })
      await connect('first')
      await connect('again')
      await client.call('CLIENT', 'KILL', 'TYPE', 'normal')
      await until(() => lost.length > 0, 'the loss to be told')
      await connect('anew')
      await adapter.close()
      expect(lost).toEqual(['again CONNECTION_FAILED'])
    })

    test('redis: a server that is too old is refused at once, with what to do', async () => {
      const server = createServer((socket) => {
        const info = '# Server\r\nredis_version:5.0.14\r\n'
        socket.on('error', () => {})
        socket.on('data', (bytes) => {
          const answer = bytes.includes('info') || bytes.includes('INFO') ? `$${info.length}\r\n${info}\r\n` : '+OK\r\n'
          for (const _ of bytes.toString().matchAll(/^\*/gm)) socket.write(answer)
        })
      }).listen(0, '127.0.0.1')
      onTestFinished(() => void server.close())
      await once(server, 'listening')
      const adapter = redis(`redis://127.0.0.1:${(server.address() as AddressInfo).port}`)
      onTestFinished(() => adapter.close())
      const error = await failure(adapter.connect({ ...call, namespace: undefined, service: 's', topology: 'create' }))
      expect([error.code, error.retryable]).toEqual(['UNSUPPORTED', false])
      expect(error.message).toMatch(/Redis 5\.0\.14.*6\.2/)
    })

    test('redis: a server that never answers is given up in time', async () => {
      const server = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1')
      onTestFinished(() => void server.close())
      await once(server, 'listening')
      const adapter = redis({
        url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
        commandTimeoutMs: 300,
      })
      onTestFinished(() => adapter.close())
      const start = clock.now()
      const error = await failure(adapter.connect({ ...call, namespace: undefined, service: 's', topology: 'create' }))
      expect([error.code, error.retryable]).toEqual(['CONNECTION_FAILED', true])
      expect(clock.now() - start).toBeLessThan(10_000)
    })

    test('redis: hazards are told, and those that are accepted are not', async () => {
      const { connect, client } = bench(broker())
      const kinds = async (): Promise<string[]> => {
        const adapter = await connect()
        return ((await adapter.hazards?.(spec('orders'), call)) ?? []).map(({ kind }) => kind)
      }
      await client.config('SET', 'appendfsync', 'everysec')
      expect(await kinds()).toEqual(['fsync', 'replication'])
      await client.config('SET', 'appendfsync', 'always')
      expect(await kinds()).toEqual(['replication'])
      await client.config('SET', 'maxmemory', '1gb')
      await client.config('SET', 'maxmemory-policy', 'allkeys-lru')
      await client.config('SET', 'appendonly', 'no')
      try {
        expect(await kinds()).toEqual(['persistence', 'eviction', 'replication'])
        const quiet = await connect({ acceptedHazards: ['persistence', 'eviction', 'replication'] })
        expect(await quiet.hazards?.(spec('orders'), call)).toEqual([])
      } finally {
        await client.config('SET', 'maxmemory', '0')
        await client.config('SET', 'maxmemory-policy', 'noeviction')
        await client.config('SET', 'appendonly', 'yes')
      }
    })

    test('redis: an entry that was deleted under its consumer is moved from what was delivered', async () => {
      const { connect, client, namespace } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      await send(adapter, 'orders', ...numbered(2))
      const member = await subscribe(adapter, spec('orders'))
      const [first, second] = await member.take(2)
      await client.xtrim(`${namespace}:orders`, 'MAXLEN', 0)
      const to = { kind: 'dead-letter', channel: 'orders', group: 'work' } as const
      const results = await member.settle({ token: first?.token, kind: 'move', to, headers: [['polybus-reason', 'x']] })
      expect(results.every(({ ok }) => ok)).toBe(true)
      const session = await adapter.browse?.open(spec('orders'), 'work', call)
      const [letter] = (await session?.next(5, call)) ?? []
      expect(letter?.message).toMatchObject({ id: 'm-0', headers: [['polybus-reason', 'x']] })
      // One that is not settled cannot come again: it leaves the pending list instead of staying there for ever.
      await member.feed.close()
      const next = await subscribe(adapter, spec('orders'))
      expect(await next.take(1, 300)).toEqual([])
      expect((await adapter.stats?.read(spec('orders'), 'work', call))?.inFlight).toBe(0)
      expect(second).toBeDefined()
    })

    test('redis: a foreign entry of more fields than a script takes is moved all the same', async () => {
      const { connect, client, namespace } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      const fields = Array.from({ length: 5000 }, (_, n) => [`f${n}`, String(n)]).flat()
      await client.xadd(`${namespace}:orders`, '*', 'data', 'x', ...fields)
      const member = await subscribe(adapter, spec('orders'))
      const [first] = await member.take(1)
      const move = (token: unknown, kind: 'dead-letter' | 'group'): ReturnType<typeof member.settle> =>
        member.settle({
          token,
          kind: 'move',
          to: { kind, channel: 'orders', group: 'work', delayMs: 100 },
          headers: [['polybus-attempt', '1']],
        })
      expect(await move(first?.token, 'group')).toEqual([{ ok: true, value: undefined }])
      const [again] = await member.take(1)
      expect(again?.message.headers).toHaveLength(5001)
      expect(await move(again?.token, 'dead-letter')).toEqual([{ ok: true, value: undefined }])
      expect(await adapter.stats?.read(spec('orders'), 'work', call)).toMatchObject({
        backlog: 0,
        inFlight: 0,
        deadLetters: 1,
      })
    })

    test('redis: errors hold neither passwords nor bodies of the commands they are about', async () => {
      const { connect, client, namespace, url } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      await client.del(`${namespace}:orders`)
      await client.set(`${namespace}:orders`, 'a text')
      const wrongType = await failure(send(adapter, 'orders', wire({ body: Buffer.from('s3cret') })))
      const denied = redis(url.replace('//', '//nobody:s3cret@'))
      onTestFinished(() => denied.close())
      const refused = await failure(denied.connect({ ...call, namespace, service: 'test', topology: 'create' }))
      expect([wrongType.code, refused.code]).toEqual(['TOPOLOGY_CONFLICT', 'AUTHENTICATION_FAILED'])
      for (const error of [wrongType, refused]) expect(inspect(error, { depth: 10 })).not.toContain('s3cret')
    })

    test('redis: a database that there is not, or may not be selected, is refused instead of number 0', async () => {
      const { open, client, namespace, url } = bench(broker())
      await client.call('ACL', 'SETUSER', 'first', 'reset', 'on', '>s3cret', '~*', '+@all', '-select')
      onTestFinished(async () => void (await client.call('ACL', 'DELUSER', 'first')))
      const as = { ...call, namespace, service: 'test', topology: 'create' } as const
      const none = await failure(open({ url: `${url}/99` }).connect(as))
      expect([none.code, none.retryable]).toEqual(['BROKER_REFUSED', false])
      expect(none.message).toContain('no database of this number')
      const denied = await failure(open({ url: `${url.replace('//', '//first:s3cret@')}/1` }).connect(as))
      expect(denied.code).toBe('ACCESS_DENIED')
    })

    test('redis: a server with too many clients is tried again', async () => {
      const { open, client, namespace } = bench(broker())
      const [, before = '10000'] = await client.config('GET', 'maxclients')
      await client.config('SET', 'maxclients', '1')
      try {
        const error = await failure(open().connect({ ...call, namespace, service: 'test', topology: 'create' }))
        expect([error.code, error.retryable]).toEqual(['CONNECTION_FAILED', true])
      } finally {
        await client.config('SET', 'maxclients', before)
      }
    })

    test('redis: dead members are forgotten by their own process, and hold nothing', async () => {
      const { connect, client, namespace } = bench(broker())
      const adapter = await connect()
      await create(adapter, spec('orders'))
      for (let n = 0; n < 5; n++) {
        const member = await subscribe(adapter, spec('orders'))
        await send(adapter, 'orders', wire())
        await member.ack(...(await member.take(1)))
        await member.feed.close()
      }
      await until(
        async () => ((await client.xinfo('CONSUMERS', `${namespace}:orders`, 'work')) as unknown[]).length === 0,
        'no consumer to be left',
      )
    })
  },
  { instance: 'redis-trouble' },
)
