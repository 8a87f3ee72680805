// Looks at dead letters. A queue has no cursor: who looks holds what he sees, and gives it back.
import { describeBroker, type RunningBroker } from '@polybus/brokers'
import { type BrowseSession, type ChannelSpec, type PolybusError, type RawDeadLetter } from '@polybus/core'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { SqsAdapter } from '../src/index.ts'
import { type Bench, bench, call, clock, create, numbered, outgoing, spec } from './support.ts'

vi.setConfig({ testTimeout: 60_000 })

const look = async (adapter: SqsAdapter, channel: ChannelSpec): Promise<BrowseSession> => {
  const session = await adapter.browse?.open(channel, 'work', call)
  if (!session) throw new Error('no session')
  onTestFinished(() => session.close())
  return session
}
async function all(session: BrowseSession, page = 100): Promise<readonly RawDeadLetter[]> {
  const letters: RawDeadLetter[] = []
  for (;;) {
    const some = await session.next(page, call)
    if (some.length === 0) return letters
    letters.push(...some)
  }
}
const idsOf = (letters: readonly RawDeadLetter[]): (string | undefined)[] => letters.map(({ message }) => message.id)
const sorted = (list: readonly (string | undefined)[]): (string | undefined)[] =>
  list.toSorted((a = '', b = '') => (a < b ? -1 : 1))
const code = (result: { readonly ok: boolean; readonly error?: PolybusError } | undefined): string =>
  result?.ok ? 'ok' : (result?.error?.code ?? 'no result')

interface Dead extends Bench {
  readonly channel: ChannelSpec
  readonly adapter: SqsAdapter
  readonly ids: readonly (string | undefined)[]
}
/** A group with so many dead letters. */
async function dead(broker: RunningBroker, count: number, { keyed = false, visibilityMs = 3000 } = {}): Promise<Dead> {
  const at = await bench(broker)
  const channel = spec('orders', { keyed })
  const adapter = await at.connect({ visibilityMs })
  await create(adapter, channel)
  const letters = numbered(count, keyed ? { key: 'k' } : {})
  const results = await adapter.send(
    letters.map((message) =>
      outgoing('orders', message, { to: { kind: 'dead-letter', channel: 'orders', group: 'work' } }),
    ),
    call,
  )
  for (const result of results) if (!result.ok) throw result.error
  return { ...at, channel, adapter, ids: letters.map(({ id }) => id) }
}

await describeBroker('sqs', (broker) => {
  test.each([
    ['standard', false],
    ['FIFO', true],
  ])('sqs: a look at a %s queue shows all dead letters, those of one key too', async (_, keyed) => {
    const { adapter, channel, ids } = await dead(broker(), 60, { keyed })
    const session = await look(adapter, channel)
    const letters = await all(session, 7)
    expect(sorted(idsOf(letters))).toEqual(sorted(ids))
    if (keyed) expect(new Set(letters.map(({ message }) => message.key))).toEqual(new Set(['k']))
  })

  test('sqs: what is looked at stays hidden from others for as long as the look is open, and not longer', async () => {
    const { adapter, channel, ids } = await dead(broker(), 12, { visibilityMs: 1000 })
    const session = await look(adapter, channel)
    expect((await all(session)).length).toBe(12)
    const opened = clock.now()
    while (clock.now() - opened < 3000) {
      const other = await look(adapter, channel)
      expect(idsOf(await all(other))).toEqual([])
      await other.close()
    }
    await session.close()
    expect(sorted(idsOf(await all(await look(adapter, channel))))).toEqual(sorted(ids))
  })

  test('sqs: what is removed is gone, and each position has a result of its own', async () => {
    const { adapter, channel, ids } = await dead(broker(), 15)
    const session = await look(adapter, channel)
    const letters = await all(session)
    const results = await session.remove([...letters.slice(0, 12).map(({ position }) => position), 'no/such'], call)
    expect(results.map(code)).toEqual([...Array.from({ length: 12 }, () => 'ok'), 'DEAD_LETTER_NOT_FOUND'])
    // Twice is not twice.
    expect((await session.remove([letters[0]?.position ?? ''], call)).map(code)).toEqual(['LEASE_LOST'])
    await session.close()
    await expect(session.next(1, call)).rejects.toMatchObject({ code: 'CLOSED' })
    expect(idsOf(await all(await look(adapter, channel)))).toHaveLength(ids.length - 12)
  })

  test('sqs: what somebody else holds by now is not removed', async () => {
    const { adapter, channel, gateway, namespace, ids } = await dead(broker(), 3)
    const session = await look(adapter, channel)
    const letters = await all(session)
    await gateway.expire(`${namespace}--`)
    const other = await look(adapter, channel)
    expect(await all(other)).toHaveLength(3)
    const results = await session.remove(
      letters.map(({ position }) => position),
      call,
    )
    expect(results.map(code)).toEqual(['LEASE_LOST', 'LEASE_LOST', 'LEASE_LOST'])
    await other.close()
    expect(sorted(idsOf(await all(await look(adapter, channel))))).toEqual(sorted(ids))
  })

  test('sqs: a look that is given up half-way loses nothing', async () => {
    const { adapter, channel, ids } = await dead(broker(), 25)
    const session = await look(adapter, channel)
    const stop = new AbortController()
    const asked = session.next(5, stop)
    stop.abort()
    await expect(asked).rejects.toMatchObject({ code: 'ABORTED' })
    expect(await all(session)).toHaveLength(25)
    await session.close()
    await session.close()
    expect(sorted(idsOf(await all(await look(adapter, channel))))).toEqual(sorted(ids))
  })

  test('sqs: looks count in SQS, and delete nothing', async () => {
    const { adapter, channel } = await dead(broker(), 1)
    for (let round = 0; round < 12; round++) {
      const session = await look(adapter, channel)
      expect(await session.next(1, call)).toHaveLength(1)
      await session.close()
    }
    expect((await adapter.stats?.read(channel, 'work', call))?.deadLetters).toBe(1)
  })

  test('sqs: dead letters of a group that is not there are no empty list', async () => {
    const at = await bench(broker())
    const adapter = await at.connect()
    await expect(adapter.browse?.open(spec('nowhere'), 'work', call)).rejects.toMatchObject({ code: 'UNKNOWN_GROUP' })
  })
})
