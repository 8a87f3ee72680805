// The client below the adapter: members, transactions, and connections that do not answer.
import { describeBroker } from '@polybus/brokers'
import { sleep } from '@polybus/core'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { Assignment } from '../src/client.ts'
import { behind, call, client, clock, join, record, SESSION_MS, topic, valuesOf } from './client-support.ts'
import { until } from './support.ts'

vi.setConfig({ testTimeout: 90_000 })

await describeBroker('kafka', (broker) => {
  test('kafka: a half-open connection is noticed, nothing hangs, and the member goes on where it was', async () => {
    const { proxy, to } = await behind(broker())
    const own = client(broker())
    const through = client(broker(), { client: { to }, commandTimeoutMs: 500 })
    const name = await topic(own)
    const { member, told: events, values } = await join(through, name)
    const producer = through.producer()
    const write = async (text: string): Promise<unknown> => {
      const [result] = await producer.produce([{ topic: name, partition: 0, records: [record(text)] }], call)
      return result?.ok ? 'written' : result?.error.sent
    }
    expect(await write('before')).toBe('written')
    await until(() => values.includes('before'), 'the first message')
    const assignment = member.assignment() as Assignment
    proxy.pause()
    const [written, committed, connected] = await Promise.allSettled([
      write('meanwhile'),
      member.commit(assignment, [{ topic: name, partition: 0, offset: 1n }], call),
      through.connect(call),
    ])
    // Whether its bytes had left depends on when the pause was noticed; what is told has to be true.
    const told = written.status === 'fulfilled' ? written.value : 'rejected'
    expect(['unknown', 'no']).toContain(told)
    expect([committed.status, connected.status]).toEqual(['rejected', 'rejected'])
    proxy.resume()
    await until(async () => (await write('after')) === 'written', 'a message after it', 15_000)
    await until(() => values.includes('after'), 'the message after it, read', 15_000)
    expect(events.filter((what) => what.startsWith('dead'))).toEqual([])
    await through.connect(call)
    if (told === 'no') expect(values).not.toContain('meanwhile')
  })

  test('kafka: who was blocked past its session has lost everything before it does anything else', async () => {
    const own = client(broker())
    const other = client(broker())
    const name = await topic(own, 2)
    const blocked = await join(own, name)
    const first = blocked.member.assignment() as Assignment
    // Nothing of this process runs meanwhile, its heartbeats neither.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SESSION_MS * 2)
    await until(() => blocked.told.includes('lost'), 'the loss')
    expect(blocked.told.slice(0, 2)).toEqual(['assigned', 'lost'])
    await expect(blocked.member.commit(first, [{ topic: name, partition: 0, offset: 1n }], call)).rejects.toMatchObject(
      {
        code: 'LEASE_LOST',
      },
    )
    await until(() => blocked.member.assignment() !== undefined, 'it joins anew')
    expect(blocked.member.assignment()?.memberId).not.toBe(first.memberId)
    await other.close()
  })

  test('kafka: a rebalance waits for what is revoked, past the session too, and commits under the old assignment work until then', async () => {
    const own = client(broker())
    const name = await topic(own, 2)
    let release: (() => void) | undefined
    const slow = await join(own, name, {
      onRevoking: () =>
        new Promise((resolve) => {
          release = resolve
        }),
    })
    const old = slow.member.assignment() as Assignment
    const joining = join(client(broker()), name)
    await until(() => release !== undefined, 'the revoke')
    await sleep(clock, SESSION_MS * 1.5)
    expect(slow.told).toEqual(['assigned'])
    const position = { topic: name, partition: 0, offset: 0n }
    await slow.member.commit(old, [position], call)
    release?.()
    const joiner = await joining
    await until(() => (slow.member.assignment()?.generation ?? 0) > old.generation, 'the next generation')
    expect(slow.member.assignment()).toMatchObject({ memberId: old.memberId, generation: old.generation + 1 })
    expect([slow, joiner].map(({ member }) => member.assignment()?.partitions.length)).toEqual([1, 1])
    await expect(slow.member.commit(old, [position], call)).rejects.toMatchObject({ code: 'LEASE_LOST' })
  })

  test('kafka: a pause ends with its generation, and a seek throws away what is on its way', async () => {
    const own = client(broker())
    const name = await topic(own, 2)
    const producer = own.producer()
    const write = (partition: number, text: string): Promise<unknown> =>
      producer.produce([{ topic: name, partition, records: [record(text)] }], call)
    const one = await join(own, name)
    one.member.pause([0, 1].map((partition) => ({ topic: name, partition })))
    await sleep(clock, 150)
    await write(0, 'paused')
    await sleep(clock, 400)
    expect(one.values).toEqual([])
    const two = await join(client(broker()), name)
    await two.member.stop()
    await until(() => one.values.includes('paused'), 'what was paused, after a rebalance')
    one.member.seek({ topic: name, partition: 0, offset: 0n })
    await until(() => one.values.filter((value) => value === 'paused').length === 2, 'it again')
  })

  test('kafka: a stop is over soon though nobody answers', async () => {
    const { proxy, to } = await behind(broker())
    const own = client(broker())
    const through = client(broker(), { client: { to } })
    const { member } = await join(through, await topic(own))
    proxy.pause()
    const begun = clock.now()
    await member.stop()
    await through.close()
    expect(clock.now() - begun).toBeLessThan(15_000)
  })

  test('kafka: who could not leave comes back under its old id, and nobody waits for its session', async () => {
    const { proxy, to } = await behind(broker())
    const own = client(broker())
    const name = await topic(own)
    const long = { sessionTimeoutMs: 60_000 }
    const { member } = await join(client(broker(), { client: { to } }), name, {}, long)
    const { memberId } = member.assignment() as Assignment
    proxy.pause()
    expect(await member.stop()).toBe(memberId)
    const again = await join(own, name, {}, { ...long, formerId: memberId })
    expect(again.member.assignment()).toMatchObject({ memberId })
    expect(await again.member.stop()).toBeUndefined()
    // An id that the group does not know is only a wish.
    const other = await join(own, name, {}, { ...long, formerId: memberId })
    expect(other.member.assignment()?.memberId).not.toBe(memberId)
  })

  test('kafka: of transactions the committed ones are read, in place; markers move the position', async () => {
    const own = client(broker())
    const name = await topic(own)
    const reader = await join(own, name)
    const writer = own.transactional(`${name}.t`)
    onTestFinished(() => writer.close())
    const one = { topic: name, partition: 0 }
    await writer.begin(call)
    await writer.produce([{ ...one, records: [record('kept'), record('kept too')] }], call)
    await writer.sendOffsets(`${name}.g2`, [{ ...one, offset: 7n }], call)
    expect(reader.values).toEqual([])
    await writer.commit(call)
    await writer.begin(call)
    await writer.produce([{ ...one, records: [record('aborted')] }], call)
    await writer.abort(call)
    await writer.begin(call)
    await writer.produce([{ ...one, records: [record('last')] }], call)
    await writer.commit(call)
    await until(() => reader.values.includes('last'), 'the last one')
    expect(reader.values).toEqual(['kept', 'kept too', 'last'])
    expect(await valuesOf(own, name)).toEqual(['kept', 'kept too', 'last'])
    expect(await own.admin.committed(`${name}.g2`, [name], call)).toEqual([{ ...one, offset: 7n }])
    const [{ end } = { end: 0n }] = await own.admin.offsets(name, call)
    // Seven: four records and three markers.
    await until(() => reader.batches.at(-1)?.lastOffset === end - 1n, 'the last marker')
    expect(end).toBe(7n)
  })

  test('kafka: a transaction whose answers are lost is written once', async () => {
    const { proxy, to } = await behind(broker(), (bytes) => bytes.includes('record-of-the-test'))
    const own = client(broker())
    const name = await topic(own, 2)
    const writer = client(broker(), { client: { to } }).transactional(`${name}.t`)
    onTestFinished(() => writer.close())
    const expected: string[] = []
    for (let round = 0; round < 3; round++) {
      await writer.begin(call)
      proxy.cutAnswers(1)
      const batches = [0, 1].map((partition) => {
        const text = `record-of-the-test ${round} ${partition}`
        expected.push(text)
        return { topic: name, partition, records: [record(text)] }
      })
      await writer.produce(batches, call)
      await writer.commit(call)
    }
    expect(proxy.answersCut).toBe(3)
    expect((await valuesOf(own, name)).toSorted()).toEqual(expected.toSorted())
  })

  test('kafka: a commit whose answer is lost is one', async () => {
    // EndTxn, version 1.
    const { proxy, to } = await behind(broker(), (bytes) => bytes.includes(Buffer.from([0, 26, 0, 1])))
    const own = client(broker())
    const name = await topic(own)
    const writer = client(broker(), { client: { to } }).transactional(`${name}.t`)
    onTestFinished(() => writer.close())
    for (let round = 0; round < 3; round++) {
      await writer.begin(call)
      await writer.produce([{ topic: name, partition: 0, records: [record(`round ${round}`)] }], call)
      await writer.sendOffsets(`${name}.g`, [{ topic: name, partition: 0, offset: BigInt(round + 1) }], call)
      proxy.cutAnswers(1)
      await writer.commit(call)
    }
    expect(proxy.answersCut).toBe(3)
    await writer.initialise(call)
    expect(await valuesOf(own, name)).toEqual(['round 0', 'round 1', 'round 2'])
    expect(await own.admin.committed(`${name}.g`, [name], call)).toEqual([{ topic: name, partition: 0, offset: 3n }])
  })

  test('kafka: forty transactional ids share a few connections, and each goes on by itself', async () => {
    const { proxy, to } = await behind(broker())
    const own = client(broker())
    const name = await topic(own, 8)
    const through = client(broker(), { client: { to } })
    const rounds = 5
    await Promise.all(
      Array.from({ length: 40 }, async (_, n) => {
        const writer = through.transactional(`${name}.${n}`)
        for (let round = 0; round < rounds; round++) {
          await writer.begin(call)
          const records = [record(`${n}-${round}`)]
          await writer.produce([{ topic: name, partition: n % 8, records }], call)
          await writer.sendOffsets(`${name}.g${n}`, [{ topic: name, partition: 0, offset: BigInt(round) }], call)
          if (round % 2) await writer.abort(call)
          else await writer.commit(call)
        }
        await writer.close()
      }),
    )
    expect(proxy.connections).toBeLessThanOrEqual(8)
    const expected = Array.from({ length: 40 }, (_, n) => [0, 2, 4].map((round) => `${n}-${round}`)).flat()
    await until(async () => (await valuesOf(own, name)).length >= expected.length, 'all commits to be seen')
    expect((await valuesOf(own, name)).toSorted()).toEqual(expected.toSorted())
  })

  test('kafka: a part that is too large leaves the transaction to be aborted, and the next one is whole', async () => {
    const own = client(broker())
    const name = await topic(own, 2)
    const writer = own.transactional(`${name}.t`)
    onTestFinished(() => writer.close())
    await writer.begin(call)
    const large = { topic: name, partition: 1, records: [record(Buffer.alloc(2 ** 21))] }
    const small = { topic: name, partition: 0, records: [record('not alone')] }
    await expect(writer.produce([small, large], call)).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE' })
    await writer.abort(call)
    await writer.begin(call)
    await writer.produce([{ ...small, records: [record('whole')] }], call)
    await writer.commit(call)
    await until(async () => (await valuesOf(own, name)).length > 0, 'the commit to be seen')
    expect(await valuesOf(own, name)).toEqual(['whole'])
  })

  test('kafka: the second of two with one transactional id fences the first', async () => {
    const own = client(broker())
    const name = await topic(own)
    const [first, second] = [1, 2].map(() => own.transactional(`${name}.t`))
    if (!first || !second) throw new Error('two were asked for')
    onTestFinished(async () => void (await Promise.all([first.close(), second.close()])))
    const batch = (text: string) => [{ topic: name, partition: 0, records: [record(text)] }]
    await first.begin(call)
    await first.produce(batch('of the first'), call)
    await second.begin(call)
    await second.produce(batch('of the second'), call)
    await second.commit(call)
    await expect(first.commit(call)).rejects.toMatchObject({ code: 'LEASE_LOST', sent: 'no', retryable: false })
    // For good: beginning anew would shut the second one out.
    await expect(first.begin(call)).rejects.toMatchObject({ code: 'LEASE_LOST' })
    expect(await valuesOf(own, name)).toEqual(['of the second'])
  })

  test('kafka: two clients at rest cost next to nothing', async () => {
    const own = client(broker())
    const name = await topic(own, 2)
    await join(own, name)
    await own.producer().produce([{ topic: name, partition: 0, records: [record('x')] }], call)
    await sleep(clock, 300)
    const before = process.cpuUsage()
    await sleep(clock, 2000)
    const { user, system } = process.cpuUsage(before)
    // kafkajs alone spends most of a core on timers of one millisecond.
    expect((user + system) / 1000).toBeLessThan(1000)
  })
})
