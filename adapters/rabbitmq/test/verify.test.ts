// That no declared group is missed: their queues are asked for before a batch, their bindings now and then.
import { type Outgoing, PolybusError, type Receipt } from '@polybus/core'
import { expect, test } from 'vitest'
import { layoutOf } from '../src/layout.ts'
import { checkOptions } from '../src/options.ts'
import type { Put } from '../src/publisher.ts'
import { sendAll } from '../src/send.ts'
import type { Session } from '../src/session.ts'

interface Check {
  readonly resolve: (receipt: Receipt) => void
  readonly reject: (error: unknown) => void
}

/** A session that confirms and verifies when it is told to. */
function sessionOf(blocked?: string): {
  readonly time: { ms: number }
  readonly session: Session
  readonly puts: Put[]
  readonly checks: Check[]
} {
  const time = { ms: 1000 }
  const puts: Put[] = []
  const checks: Check[] = []
  const spec = { name: 'flow', keyed: false, groups: ['work'], maxBytes: 1000 }
  const layout = layoutOf(checkOptions('amqp://localhost'), undefined, spec as never, undefined)
  const session = {
    link: { blocked },
    clock: { now: () => time.ms },
    mayCreate: false,
    publishes: () => ({ publish: (put: Put) => void puts.push(put) }),
    target: () => layout,
    doubt: () => undefined,
    verify: () => new Promise<Receipt>((resolve, reject) => void checks.push({ resolve, reject })),
  }
  return { session: session as unknown as Session, time, puts, checks }
}
const message = (id: string): Outgoing =>
  ({
    handover: 1,
    message: { id, headers: [], body: Buffer.from('x') },
    to: { kind: 'channel', channel: 'flow' },
  }) as unknown as Outgoing
const call = (): { signal: AbortSignal } => ({ signal: new AbortController().signal })
const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('rabbitmq: the bindings of a batch are asked for once, before it is confirmed, and its end waits for both', async () => {
  for (const first of ['confirm', 'check']) {
    const { session, puts, checks } = sessionOf()
    let ended: unknown
    void sendAll(session, [message('1'), message('2')], call()).then((results) => (ended = results))
    expect([puts.length, checks.length]).toEqual([2, 1])
    const steps = [() => puts.forEach(({ answer }) => answer(undefined)), () => checks[0]?.resolve({ missing: [] })]
    if (first === 'check') steps.reverse()
    steps[0]?.()
    await soon()
    expect(ended).toBeUndefined()
    steps[1]?.()
    await soon()
    const ok = { ok: true, value: { missing: [] } }
    expect(ended).toEqual([ok, ok])
    expect(checks).toHaveLength(1)
  }
})

test('rabbitmq: a check that fails leaves open what was confirmed, and not what was refused', async () => {
  const { session, puts, checks } = sessionOf()
  const sent = sendAll(session, [message('1'), message('2')], call())
  checks[0]?.reject(new PolybusError('ACCESS_DENIED', 'no right'))
  await soon()
  puts[0]?.answer(undefined)
  puts[1]?.answer(new PolybusError('UNROUTABLE', undefined, { sent: 'no' }))
  const codes = (await sent).map((result) => !result.ok && `${result.error.code}, sent ${result.error.sent}`)
  expect(codes).toEqual(['ACCESS_DENIED, sent unknown', 'UNROUTABLE, sent no'])
})

test('rabbitmq: nothing is asked for what is not written', async () => {
  const { session, puts, checks } = sessionOf('low on memory')
  const [result] = await sendAll(session, [message('1')], call())
  expect(result?.ok === false && result.error.code).toBe('BROKER_BUSY')
  expect([puts.length, checks.length]).toEqual([0, 0])
})

test('rabbitmq: all messages of a batch expect the same queues, and are refused whole where one is gone', async () => {
  const { session, puts, checks } = sessionOf()
  const sent = sendAll(session, [message('1'), message('2')], call())
  expect(puts.map(({ expected }) => expected?.queues)).toEqual([['flow.work'], ['flow.work']])
  expect(puts[0]?.expected).toBe(puts[1]?.expected)
  checks[0]?.resolve({})
  for (const { answer } of puts) answer(new PolybusError('TOPOLOGY_MISSING', 'gone', { sent: 'unknown' }))
  const codes = (await sent).map((result) => !result.ok && result.error.code)
  expect(codes).toEqual(['TOPOLOGY_MISSING', 'TOPOLOGY_MISSING'])
})
