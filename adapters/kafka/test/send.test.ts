// How messages come to their partitions, over a client that is none.
import { type Outgoing, PolybusError } from '@polybus/core'
import { channelSpec, clock, wireMessage } from '@polybus/testkit'
import { describe, expect, test } from 'vitest'
import type { Batch, Client, Producer, TopicInfo } from '../src/client.ts'
import { checkOptions } from '../src/options.ts'
import { sendAll } from '../src/send.ts'
import { createSession, type Session } from '../src/session.ts'

type Topics = ReadonlyMap<string, TopicInfo>
const call = { signal: new AbortController().signal }

function fake(produce: (batch: Batch) => Awaited<ReturnType<Producer['produce']>>[number], topics: readonly string[]) {
  const asked: string[] = []
  const batches: Batch[] = []
  const client = {
    admin: {
      topics: ([topic = '']: readonly string[]): Promise<Topics> => {
        asked.push(topic)
        const partitions = [0, 1].map((partition) => ({ partition, leader: 0, replicas: [0] }))
        return Promise.resolve(new Map(topics.includes(topic) ? [[topic, { topic, partitions }]] : []))
      },
    },
    producer: (): Producer => ({
      produce: (given) => {
        batches.push(...given)
        return Promise.resolve(given.map(produce))
      },
      close: () => Promise.resolve(),
    }),
  } as unknown as Client
  const specs = new Map(['a', 'b', 'c'].map((name) => [name, channelSpec(name, { keyed: true, groups: ['x', 'y'] })]))
  const options = { client, clock, settings: checkOptions({}), namespace: undefined, mayCreate: true, specs }
  return { asked, batches, session: createSession(options) }
}
const to = (channel: string, id: string, key?: string, groups?: readonly string[]): Outgoing => ({
  handover: 0,
  message: wireMessage({ id, key }),
  to: { kind: 'channel', channel },
  ...(groups && { groups }),
})
const send = async (session: Session, batch: readonly Outgoing[], by = call): Promise<readonly unknown[]> =>
  (await sendAll(session, batch, by)).map((result) => (result.ok ? result.value.position : result.error.code))
const idsOf = ({ records }: Batch): unknown =>
  records.map(({ headers }) => headers.find(([name]) => name === 'ce_id')?.[1])

describe('kafka: a batch', () => {
  test('asks for each topic once, and not again while it is known', async () => {
    const { session, asked, batches } = fake(() => ({ ok: true, value: 7n }), ['a', 'b'])
    const batch = ['1', '2', '3'].flatMap((id) => [to('a', id, 'k'), to('b', id, 'k')])
    expect(await send(session, batch)).toEqual([7, 8, 9].flatMap((at) => [`a/0/${at}`, `b/0/${at}`]))
    await send(session, batch)
    expect(asked).toEqual(['a', 'b'])
    expect(batches.map(idsOf)).toEqual(Array.from({ length: 4 }, () => ['1', '2', '3']))
    session.forget('a')
    await send(session, batch)
    expect(asked).toEqual(['a', 'b', 'a'])
  })

  test('goes at once where all topics are known', async () => {
    const { session, batches } = fake(() => ({ ok: true, value: 0n }), ['a'])
    await send(session, [to('a', '1', 'k')])
    const late = send(session, [to('a', '2', 'k')])
    await Promise.resolve()
    expect(batches).toHaveLength(2)
    await late
  })

  test('whose topics are not there fails for those alone; several of them reject nothing unheard', async () => {
    const { session, batches } = fake(() => ({ ok: true, value: undefined }), ['a', 'a.x.retry.1s'])
    const batch = [to('b', '1', 'k'), to('a', '2', 'k'), to('c', '3'), to('a', '4', 'k', ['x', 'y']), to('a', '5', 'k'), to('a', '6', 'l')] // prettier-ignore
    expect(await send(session, batch)).toEqual(['TOPOLOGY_MISSING', undefined, 'TOPOLOGY_MISSING', 'TOPOLOGY_MISSING', 'NOT_ATTEMPTED', undefined]) // prettier-ignore
    // Neither what failed nor what stands behind it of its key.
    expect(new Set(batches.flatMap(idsOf))).toEqual(new Set(['2', '6']))
  })

  test('that is aborted while it asks has sent nothing', async () => {
    const { session, batches } = fake(() => ({ ok: true, value: 0n }), ['a'])
    const abort = new AbortController()
    const sent = send(session, [to('a', '1')], { signal: abort.signal })
    abort.abort()
    expect(await sent).toEqual(['ABORTED'])
    expect(batches).toEqual([])
  })

  test('that is refused for one record is halved until that stands alone; its key is held, others go', async () => {
    const tooLarge = new PolybusError('MESSAGE_TOO_LARGE', undefined, {
      sent: 'no',
      cause: { type: 'MESSAGE_TOO_LARGE' },
    })
    const { session } = fake(
      (batch) => ((idsOf(batch) as string[]).includes('2') ? { ok: false, error: tooLarge } : { ok: true, value: 5n }),
      ['a'],
    )
    const batch = [to('a', '1', 'k'), to('a', '2', 'k'), to('a', '3', 'k'), to('a', '4', 'k')]
    expect(await send(session, batch)).toEqual(['a/0/5', 'MESSAGE_TOO_LARGE', 'NOT_ATTEMPTED', 'NOT_ATTEMPTED'])
  })
})
