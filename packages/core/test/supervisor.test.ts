import { describe, expect, test } from 'vitest'
import { channel, trust } from '../src/channel.ts'
import { PolybusError } from '../src/errors.ts'
import { createSupervisor, type SupervisorOptions } from '../src/supervisor.ts'
import { codeOf, fakeAdapter, manual, watch } from './fake.ts'

function rig(over: Partial<SupervisorOptions> = {}) {
  const time = manual()
  const adapter = fakeAdapter(time.clock)
  const ups: boolean[] = []
  const reconnects: string[] = []
  const silent = { debug() {}, info() {}, warn() {}, error() {} }
  const supervisor = createSupervisor({
    adapter,
    clock: time.clock,
    call: { namespace: undefined, service: 'test', topology: 'create' },
    connectTimeoutMs: 10_000,
    strict: false,
    log: silent,
    onUp: (up) => ups.push(up),
    onReconnect: (error) => reconnects.push(error.code),
    ...over,
  })
  return { time, adapter, supervisor, ups, reconnects }
}
const down = new PolybusError('CONNECTION_FAILED')
const define = (name: string) => channel(name, { schema: trust() })['~definition']

describe('connect', () => {
  test('tries again until the broker is there', async () => {
    const { time, adapter, supervisor, ups } = rig()
    let failures = 5
    adapter.onConnect = () => (failures-- > 0 ? Promise.reject(new Error('refused')) : Promise.resolve())
    const connected = watch(supervisor.connect())
    await time.advance(9000)
    expect([connected.state, adapter.connects, supervisor.generation, ups]).toEqual(['resolved', 6, 1, [true]])
  })
  test('gives up after the time-out, with the last reason', async () => {
    const { time, adapter, supervisor } = rig()
    adapter.onConnect = () => Promise.reject(new Error('refused'))
    const connected = watch(supervisor.connect())
    await time.advance(9999)
    expect(connected.state).toBe('open')
    await time.advance(1)
    expect(connected.error).toMatchObject({ code: 'CONNECT_TIMEOUT' })
    expect(connected.error?.message).toContain('refused')
  })
  test('a broker that never answers does not hang it', async () => {
    const { time, adapter, supervisor } = rig()
    adapter.onConnect = () => new Promise(() => {})
    const connected = watch(supervisor.connect())
    await time.advance(10_000)
    expect(connected.error?.code).toBe('CONNECT_TIMEOUT')
  })
  test('what cannot get better is not tried again', async () => {
    for (const code of ['AUTHENTICATION_FAILED', 'ACCESS_DENIED'] as const) {
      const { time, adapter, supervisor } = rig()
      adapter.onConnect = () => Promise.reject(new PolybusError(code))
      const connected = watch(supervisor.connect())
      await time.advance(1000)
      expect([connected.error?.code, adapter.connects]).toEqual([code, 1])
    }
  })
})

describe('a lost connection', () => {
  test('comes back with capped backoff, and a new generation', async () => {
    const { time, adapter, supervisor, ups, reconnects } = rig()
    await supervisor.connect()
    const at: number[] = []
    adapter.onConnect = () => (
      at.push(time.now),
      time.now < 20_000 ? Promise.reject(new Error('refused')) : Promise.resolve()
    )
    supervisor.broken(down, 1)
    expect(supervisor.reasons()).toMatchObject([{ down: true }])
    await time.advance(25_000)
    expect([supervisor.generation, ups, reconnects]).toEqual([2, [true, false, true], ['CONNECTION_FAILED']])
    const gaps = at.slice(1).map((ms, index) => ms - (at[index] as number))
    expect(Math.max(...gaps)).toBeLessThanOrEqual(2000)
    expect(gaps.at(-2)).toBeGreaterThanOrEqual(1000)
    expect(supervisor.reasons()).toEqual([])
  })
  test('reports of an older generation, or a second one, mean nothing', async () => {
    const { time, adapter, supervisor, reconnects } = rig()
    await supervisor.connect()
    supervisor.broken(down, 0)
    expect(reconnects).toEqual([])
    supervisor.broken(down, 1)
    supervisor.broken(down, 1)
    await time.advance(5000)
    supervisor.broken(down, 1)
    await time.advance(5000)
    expect([supervisor.generation, adapter.connects]).toEqual([2, 2])
  })
  test('who waits for it is woken by its return, by its signal, or by the end', async () => {
    const { time, supervisor } = rig()
    const abort = new AbortController()
    await supervisor.connect()
    expect(await supervisor.up(abort.signal)).toBe(1)
    supervisor.broken(down, 1)
    const [waits, aborted] = [watch(supervisor.up(new AbortController().signal)), watch(supervisor.up(abort.signal))]
    abort.abort()
    await time.quiet()
    expect([aborted.state, aborted.value]).toEqual(['resolved', undefined])
    await time.advance(5000)
    expect(waits.value).toBe(2)
    await supervisor.close()
    expect(await supervisor.up(new AbortController().signal)).toBeUndefined()
  })
})

describe('channels', () => {
  test('are set up once, and again after a reconnect', async () => {
    const { time, adapter, supervisor } = rig()
    let plans = 0
    adapter.onPlan = () => (plans++, Promise.resolve())
    await supervisor.connect()
    const orders = define('orders')
    await Promise.all([supervisor.ensure(orders), supervisor.ensure(orders)])
    expect(plans).toBe(1)
    expect(supervisor.ensure(orders)).not.toBeInstanceOf(Promise)
    supervisor.broken(down, 1)
    await time.advance(5000)
    expect(plans).toBe(2)
  })
  test('one that is defined again and again is one: it is set up once, and its hazards are told once', async () => {
    const { adapter, supervisor } = rig()
    let plans = 0
    adapter.onPlan = () => (plans++, Promise.resolve())
    adapter.hazards = () => Promise.resolve([{ kind: 'retention', text: 'it forgets' }])
    await supervisor.connect()
    for (let n = 0; n < 5; n++) await supervisor.ensure(define('orders'))
    await supervisor.ensure(define('parcels'))
    expect([plans, supervisor.reasons().map(({ text }) => text)]).toEqual([
      2,
      ["channel 'orders': it forgets", "channel 'parcels': it forgets"],
    ])
  })
  test('one that cannot be set up again does not hold the others, and is tried on by itself', async () => {
    const { time, adapter, supervisor } = rig()
    await supervisor.connect()
    const [bad, good] = [define('bad'), define('good')]
    await supervisor.ensure(bad)
    await supervisor.ensure(good)
    let failing = true
    let plans = 0
    adapter.onPlan = ([spec]) => {
      if (spec?.name !== 'bad') return Promise.resolve()
      plans++
      return failing ? Promise.reject(new PolybusError('BROKER_BUSY')) : Promise.resolve()
    }
    supervisor.broken(down, 1)
    await time.advance(3000)
    expect(supervisor.generation).toBe(2)
    expect(supervisor.ensure(good)).not.toBeInstanceOf(Promise)
    expect(supervisor.reasons()).toMatchObject([{ down: false, text: expect.stringContaining("channel 'bad'") }])
    failing = false
    await time.advance(3000)
    expect(plans).toBeGreaterThan(1)
    expect(supervisor.reasons()).toEqual([])
    expect(supervisor.ensure(bad)).not.toBeInstanceOf(Promise)
  })
  test('a connection lost during the first set-up is waited out', async () => {
    const { time, adapter, supervisor } = rig()
    await supervisor.connect()
    let failures = 1
    adapter.onPlan = () => (failures-- > 0 ? Promise.reject(down) : Promise.resolve())
    const ready = watch(Promise.resolve(supervisor.ensure(define('orders'))))
    await time.advance(5000)
    expect([ready.state, supervisor.generation]).toEqual(['resolved', 2])
  })
  test('what is wrong with the channel rejects at once, certainly not sent', async () => {
    const { adapter, supervisor } = rig()
    await supervisor.connect()
    adapter.onPlan = () => Promise.reject(new PolybusError('TOPOLOGY_CONFLICT'))
    const error = await Promise.resolve(supervisor.ensure(define('orders'))).catch((cause: unknown) => cause)
    expect(error).toMatchObject({ code: 'TOPOLOGY_CONFLICT', sent: 'no' })
  })
  test('conflicts and missing parts are reported, never overwritten', async () => {
    for (const [answer, topology, code] of [
      [{ changes: [], conflicts: [{ kind: 'queue', name: 'q', text: 'other type' }] }, 'create', 'TOPOLOGY_CONFLICT'],
      [{ changes: [{ kind: 'queue', name: 'q', text: 'queue q' }], conflicts: [] }, 'verify', 'TOPOLOGY_MISSING'],
    ] as const) {
      const { time, adapter } = rig()
      let applied = false
      const patched = {
        ...adapter,
        topology: { plan: () => Promise.resolve(answer), apply: () => ((applied = true), Promise.resolve()) },
      }
      const { supervisor } = rig({
        adapter: patched,
        clock: time.clock,
        call: { namespace: undefined, service: 's', topology },
      })
      await supervisor.connect()
      expect(await codeOf(Promise.resolve(supervisor.ensure(define('orders'))))).toBe(code)
      expect(applied).toBe(false)
    }
  })
  test('hazards are reported, and refused where durability is strict', async () => {
    for (const strict of [false, true]) {
      const time = manual()
      const adapter = {
        ...fakeAdapter(time.clock),
        hazards: () => Promise.resolve([{ kind: 'one-replica', text: 'one replica' }]),
      }
      const { supervisor } = rig({ adapter, clock: time.clock, strict })
      await supervisor.connect()
      expect(await codeOf(Promise.resolve(supervisor.ensure(define('orders'))))).toBe(strict ? 'HAZARD' : 'resolved')
      expect(
        supervisor
          .reasons()
          .map(({ text }) => text)
          .join(),
      ).toContain('one replica')
    }
  })
})

describe('who only looks', () => {
  test('finds out that the connection is gone, and is answered over the next one', async () => {
    const { time, supervisor, reconnects } = rig()
    await supervisor.connect()
    const asked: number[] = []
    const answer = watch(
      supervisor.ask(
        10_000,
        () => {
          asked.push(supervisor.generation)
          return supervisor.generation === 1 ? Promise.reject(down) : Promise.resolve('seen')
        },
        { again: true },
      ),
    )
    await time.advance(1000)
    expect([answer.value, asked, reconnects]).toEqual(['seen', [1, 2], ['CONNECTION_FAILED']])
  })
  test('is told at once where the call cannot be repeated, and by its deadline where there is no connection', async () => {
    const { time, adapter, supervisor } = rig()
    await supervisor.connect()
    adapter.onConnect = () => new Promise(() => {})
    const once = watch(supervisor.ask(10_000, () => Promise.reject(down)))
    await time.quiet()
    expect([once.error?.code, supervisor.reasons()]).toMatchObject(['CONNECTION_FAILED', [{ down: true }]])
    const late = watch(supervisor.ask(10_000, () => Promise.resolve(1), { again: true }))
    await time.advance(9999)
    expect(late.state).toBe('open')
    await time.advance(1)
    expect(late.error?.code).toBe('CONNECTION_FAILED')
  })
  test('gets what the broker refuses as it is', async () => {
    const { supervisor, reconnects } = rig()
    await supervisor.connect()
    const refused = supervisor.ask(10_000, () => Promise.reject(new PolybusError('UNKNOWN_GROUP')), { again: true })
    expect([await codeOf(refused), reconnects]).toEqual(['UNKNOWN_GROUP', []])
  })
})

test('an adapter that says that its connection is gone is heard, also before the channels are set up', async () => {
  const { time, adapter, supervisor, reconnects } = rig()
  const tellers: ((error: PolybusError) => void)[] = []
  adapter.onConnect = ({ onLost }) => {
    if (onLost) tellers.push(onLost)
    if (tellers.length === 1) onLost?.(down)
    return Promise.resolve()
  }
  await supervisor.connect()
  await time.advance(1000)
  expect([reconnects.length, supervisor.generation]).toEqual([1, 2])
  tellers[0]?.(down)
  expect(supervisor.reasons()).toEqual([])
  tellers[1]?.(down)
  expect(supervisor.reasons()).toMatchObject([{ down: true }])
})

test('close ends what waits, and does not wait for ever for the adapter', async () => {
  const time = manual()
  const adapter = { ...fakeAdapter(time.clock), close: () => new Promise<void>(() => {}) }
  const { supervisor } = rig({ adapter, clock: time.clock })
  await supervisor.connect()
  supervisor.broken(down, 1)
  const ready = watch(Promise.resolve(supervisor.ensure(define('orders'))))
  const closed = watch(supervisor.close())
  await time.quiet()
  expect(ready.error).toMatchObject({ code: 'CLOSED', sent: 'no' })
  await time.advance(5000)
  expect(closed.state).toBe('resolved')
  expect(time.pending).toBe(false)
})
