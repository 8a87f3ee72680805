import { describe, expect, test } from 'vitest'
import type { Delivery, Feed, Result, Settlement } from '../src/adapter.ts'
import type { Flight } from '../src/consume/flight.ts'
import { createFlights, type Flights } from '../src/consume/flights.ts'
import { FRESH } from '../src/consume/progress.ts'
import { PolybusError } from '../src/errors.ts'
import { type Deferred, deferred, delivery, failure, type Manual, manual, ok } from './fake.ts'

interface Rig {
  readonly time: Manual
  readonly flights: Flights
  readonly settles: Settlement[][]
  readonly extends: unknown[][]
  readonly lost: string[]
  readonly trouble: (string | undefined)[]
  onSettle: (batch: readonly Settlement[]) => Promise<readonly Result<void>[]>
  onExtend: (tokens: readonly unknown[]) => Promise<readonly Result<number>[]>
  take(over?: Partial<Delivery>, key?: string): Flight
  ack(flight: Flight): void
}

function rig(renewable = true): Rig {
  const time = manual()
  const settles: Settlement[][] = []
  const extensions: unknown[][] = []
  const lost: string[] = []
  const trouble: (string | undefined)[] = []
  const feed: Feed = {
    receive: () => Promise.resolve([]),
    settle(batch) {
      settles.push([...batch])
      return self.onSettle(batch)
    },
    extend(tokens) {
      extensions.push([...tokens])
      return self.onExtend(tokens)
    },
    state: () => ({ connected: true, lanes: null, buffered: 0 }),
    close: () => Promise.resolve(),
  }
  const flights = createFlights({
    clock: time.clock,
    feed,
    renewable,
    onTrouble: (error) => trouble.push(error?.code),
    onHung: (error) => trouble.push(`hung ${error.code}`),
    onLost: (flight, before, reason) => lost.push(`${String(flight.delivery.token)} ${before} ${reason.code}`),
  })
  const self: Rig = {
    time,
    flights,
    settles,
    extends: extensions,
    lost,
    trouble,
    onSettle: (batch) => Promise.resolve(batch.map(() => ok)),
    onExtend: (tokens) => Promise.resolve(tokens.map(() => ({ ok: true, value: 30_000 }))),
    take: (over, key) => flights.accept(delivery(over), key, 10, FRESH, time.clock.now()),
    ack: (flight) => flights.finish(flight, { token: flight.delivery.token, kind: 'ack' }),
  }
  return self
}
const run = ({ flights }: Rig, flight: Flight): void => void flights.apply(flight, 'start')

describe('settling', () => {
  test('a settlement without an answer breaks the feed, whether the adapter heeds its signal or not', async () => {
    const r = rig()
    r.onSettle = () => new Promise(() => {})
    const flight = r.take({ token: 1 })
    run(r, flight)
    r.ack(flight)
    await r.time.advance(29_999)
    expect(r.trouble).toEqual([])
    await r.time.advance(1)
    expect(r.trouble).toEqual(['CONNECTION_FAILED', 'hung CONNECTION_FAILED'])
    // As whoever makes the feed anew does.
    r.flights.loseAll(new PolybusError('FEED_BROKEN'))
    expect([flight.state, r.flights.size]).toEqual(['lost', 0])
  })
  test('one that is answered in time ends its limit; each has a limit of its own', async () => {
    const r = rig()
    const gates = [deferred<Result<void>[]>(), deferred<Result<void>[]>()]
    let calls = 0
    r.onSettle = () => (gates[calls++] as Deferred<Result<void>[]>).promise
    const [first, second] = [r.take({ token: 1 }), r.take({ token: 2 })]
    run(r, first)
    r.ack(first)
    await r.time.advance(20_000)
    run(r, second)
    r.ack(second)
    await r.time.advance(5000)
    gates[0]?.resolve([ok])
    await r.time.advance(24_999)
    expect([first.state, second.state, r.trouble]).toEqual(['gone', 'settling', []])
    gates[1]?.resolve([ok])
    await r.time.advance(60_000)
    expect([second.state, r.trouble]).toEqual(['gone', []])
  })
  test('what ends in one turn is settled in one call, and is then gone', async () => {
    const r = rig()
    const all = [1, 2, 3].map((token) => r.take({ token }))
    for (const flight of all) {
      run(r, flight)
      r.ack(flight)
    }
    expect(r.flights.size).toBe(3)
    await r.time.quiet()
    expect(r.settles).toEqual([[1, 2, 3].map((token) => ({ token, kind: 'ack' }))])
    expect(all.map(({ state }) => state)).toEqual(['gone', 'gone', 'gone'])
    expect([r.flights.size, r.flights.bytes]).toEqual([0, 0])
  })

  test('a call holds 1000 at most', async () => {
    const r = rig()
    for (let index = 0; index < 2500; index++) r.ack(r.take({ token: `t${index}` }))
    await r.time.quiet()
    expect(r.settles.map(({ length }) => length)).toEqual([1000, 1000, 500])
    expect(r.flights.size).toBe(0)
  })

  test('no more than four calls are under way; what comes meanwhile follows', async () => {
    const r = rig()
    const gates: Deferred<readonly Result<void>[]>[] = []
    r.onSettle = () => {
      const gate = deferred<readonly Result<void>[]>()
      gates.push(gate)
      return gate.promise
    }
    for (let index = 0; index < 6; index++) {
      r.ack(r.take({ token: index }))
      await r.time.quiet()
    }
    expect(r.settles).toHaveLength(4)
    gates[0]?.resolve([ok])
    await r.time.quiet()
    expect(r.settles).toHaveLength(5)
    expect(r.settles[4]?.map(({ token }) => token)).toEqual([4, 5])
  })

  test('a second settlement of one delivery means nothing', async () => {
    const r = rig()
    const flight = r.take()
    r.ack(flight)
    r.flights.finish(flight, { token: flight.delivery.token, kind: 'release' })
    await r.time.quiet()
    r.ack(flight)
    await r.time.quiet()
    expect(r.settles.flat().map(({ kind }) => kind)).toEqual(['ack'])
  })

  test('a failed one is repeated until the broker has it, its neighbours are not', async () => {
    const r = rig()
    let failures = 3
    r.onSettle = (batch) =>
      Promise.resolve(batch.map(({ token }) => (token === 2 && failures-- > 0 ? failure('BROKER_BUSY') : ok)))
    const [one, two] = [r.take({ token: 1 }), r.take({ token: 2 })]
    r.ack(one)
    r.ack(two)
    await r.time.quiet()
    expect(one.state).toBe('gone')
    expect(two.state).toBe('waiting')
    expect(r.trouble).toEqual(['BROKER_BUSY'])
    await r.time.advance(5000)
    expect(two.state).toBe('gone')
    expect(r.settles.slice(1)).toEqual([2, 2, 2].map((token) => [{ token, kind: 'ack' }]))
    expect(r.trouble.at(-1)).toBeUndefined()
  })

  test('a call that fails as a whole, or answers too little, repeats all of it', async () => {
    const r = rig()
    r.onSettle = () => Promise.reject(new Error('socket'))
    const flights = [r.take(), r.take()]
    for (const flight of flights) r.ack(flight)
    await r.time.quiet()
    r.onSettle = () => Promise.resolve([])
    await r.time.advance(60)
    expect(flights.map(({ state }) => state)).not.toContain('gone')
    r.onSettle = (batch) => Promise.resolve(batch.map(() => ok))
    await r.time.advance(5000)
    expect(flights.map(({ state }) => state)).toEqual(['gone', 'gone'])
  })

  test('the lease is renewed while a settlement waits for its next try', async () => {
    const r = rig()
    r.onSettle = () => Promise.resolve([failure('BROKER_BUSY')])
    const flight = r.take({ token: 7, leaseMs: 30_000 })
    r.ack(flight)
    await r.time.advance(25_000)
    expect(r.extends.length).toBeGreaterThan(0)
    expect(r.lost).toEqual([])
  })

  test('LEASE_LOST ends it: it is not settled again', async () => {
    const r = rig()
    r.onSettle = () => Promise.resolve([failure('LEASE_LOST')])
    const flight = r.take({ token: 1 })
    r.ack(flight)
    await r.time.advance(60_000)
    expect(flight.state).toBe('lost')
    expect(r.settles).toHaveLength(1)
    expect(r.lost).toEqual(['1 settling LEASE_LOST'])
    expect(r.flights.size).toBe(0)
  })
})

describe('leases', () => {
  test('are renewed when a third is over, many in one call', async () => {
    const r = rig()
    r.take({ token: 1, leaseMs: 30_000 })
    r.take({ token: 2, leaseMs: 30_000 })
    await r.time.advance(9_999)
    expect(r.extends).toEqual([])
    await r.time.advance(1)
    expect(r.extends).toEqual([[1, 2]])
    await r.time.advance(60_000)
    expect(r.extends.length).toBeGreaterThanOrEqual(6)
    expect(r.lost).toEqual([])
  })

  test('two renewals may fail; when the lease is over by the clock the delivery is lost', async () => {
    const r = rig()
    r.onExtend = (tokens) => Promise.resolve(tokens.map(() => failure('CONNECTION_FAILED')))
    const flight = r.take({ token: 1, leaseMs: 30_000 })
    run(r, flight)
    await r.time.advance(29_999)
    expect(flight.state).toBe('running')
    expect(r.extends.length).toBeGreaterThanOrEqual(2)
    await r.time.advance(1)
    expect(r.lost).toEqual(['1 running LEASE_LOST'])
    expect(flight.abortReason).toBeInstanceOf(PolybusError)
  })

  test('an extension that never answers does not outlive the lease', async () => {
    const r = rig()
    r.onExtend = () => new Promise(() => {})
    const flight = r.take({ token: 1, leaseMs: 30_000 })
    run(r, flight)
    await r.time.advance(30_000)
    expect(r.lost).toEqual(['1 running LEASE_LOST'])
    // Nor does it keep a settlement back for ever.
    const other = r.take({ token: 2, leaseMs: 30_000 })
    run(r, other)
    await r.time.advance(10_000)
    r.ack(other)
    await r.time.advance(20_000)
    expect(r.settles.flat().map(({ token }) => token)).toEqual([2])
  })

  test('an answer of LEASE_LOST loses it at once', async () => {
    const r = rig()
    r.onExtend = (tokens) =>
      Promise.resolve(tokens.map((token) => (token === 1 ? failure('LEASE_LOST') : { ok: true, value: 30_000 })))
    r.take({ token: 1, leaseMs: 30_000 })
    r.take({ token: 2, leaseMs: 30_000 })
    await r.time.advance(10_000)
    expect(r.lost).toEqual(['1 queued LEASE_LOST'])
  })

  test('that cannot be renewed end by the clock', async () => {
    const r = rig(false)
    const flight = r.take({ token: 1, leaseMs: 5000 })
    await r.time.advance(4999)
    expect(flight.state).toBe('queued')
    await r.time.advance(1)
    expect(flight.state).toBe('lost')
    expect(r.extends).toEqual([])
  })

  test('one that is over when the delivery arrives is lost at once, and holds nothing', () => {
    const r = rig()
    const flight = r.take({ token: 1, leaseMs: 0 })
    expect(flight.state).toBe('lost')
    expect([r.flights.size, r.flights.bytes]).toEqual([0, 0])
    expect(r.lost).toEqual(['1 queued LEASE_LOST'])
  })

  test('a settlement waits for an extension that is on its way, and is sent once', async () => {
    const r = rig()
    const gate = deferred<readonly Result<number>[]>()
    r.onExtend = () => gate.promise
    const flight = r.take({ token: 1, leaseMs: 30_000 })
    run(r, flight)
    await r.time.advance(10_000)
    r.ack(flight)
    await r.time.advance(100)
    expect(r.settles).toEqual([])
    // What it says means nothing by now, not even that the lease is lost.
    gate.resolve([failure('LEASE_LOST')])
    await r.time.quiet()
    expect(r.settles).toEqual([[{ token: 1, kind: 'ack' }]])
    expect(flight.state).toBe('gone')
    expect(r.lost).toEqual([])
    await r.time.advance(60_000)
    expect(r.settles).toHaveLength(1)
  })

  test('what is settled is no longer renewed', async () => {
    const r = rig()
    r.ack(r.take({ token: 1, leaseMs: 30_000 }))
    await r.time.advance(100_000)
    expect(r.extends).toEqual([])
    expect(r.time.pending).toBe(false)
  })
})

describe('losing', () => {
  test('lose and loseAll tell each once, and forget the rest of what comes', async () => {
    const r = rig()
    const all = [1, 2, 3].map((token) => r.take({ token }))
    r.flights.lose([2, 99], new PolybusError('LEASE_LOST'))
    r.flights.loseAll(new PolybusError('FEED_BROKEN'))
    r.flights.loseAll(new PolybusError('FEED_BROKEN'))
    expect(r.lost).toEqual(['2 queued LEASE_LOST', '1 queued FEED_BROKEN', '3 queued FEED_BROKEN'])
    for (const flight of all) r.ack(flight)
    await r.time.quiet()
    expect(r.settles).toEqual([])
    expect(r.flights.size).toBe(0)
  })

  test('all are lost before anybody is told: a key that gets free starts no other of them', () => {
    const time = manual()
    const states: string[][] = []
    const feed = { settle: () => Promise.resolve([]) } as unknown as Feed
    const flights: Flights = createFlights({
      clock: time.clock,
      feed,
      renewable: false,
      onTrouble: () => {},
      onHung: () => {},
      onLost: () => states.push(all.map(({ state }) => state)),
    })
    const all = [1, 2].map((token) => flights.accept(delivery({ token }), 'k', 1, FRESH, time.clock.now()))
    flights.loseAll(new PolybusError('FEED_BROKEN'))
    expect(states).toEqual([
      ['lost', 'lost'],
      ['lost', 'lost'],
    ])
  })

  test('with a lost one the later ones of its key go back, not the earlier ones, nor other keys', async () => {
    const r = rig(false)
    const [before, mine, after, other] = [
      r.take({ token: 1 }, 'k'),
      r.take({ token: 2, leaseMs: 100 }, 'k'),
      r.take({ token: 3 }, 'k'),
      r.take({ token: 4 }, 'other'),
    ]
    await r.time.advance(100)
    expect([before, mine, after, other].map((flight) => flight?.state)).toEqual(['queued', 'lost', 'gone', 'queued'])
    expect(r.settles).toEqual([[{ token: 3, kind: 'release' }]])
  })

  test('a settlement that is under way when its delivery is lost tells nothing', async () => {
    const r = rig()
    const gate = deferred<readonly Result<void>[]>()
    r.onSettle = () => gate.promise
    const flight = r.take({ token: 1 })
    const ends: string[] = []
    flight.ended = (how) => ends.push(how)
    r.ack(flight)
    await r.time.quiet()
    r.flights.lose([1], new PolybusError('LEASE_LOST'))
    gate.resolve([ok])
    await r.time.quiet()
    expect(ends).toEqual(['lost'])
    expect(flight.state).toBe('lost')
  })

  test('a token that is handed out again replaces the delivery that held it', async () => {
    const r = rig()
    const old = r.take({ token: 1 })
    const fresh = r.take({ token: 1 })
    expect([old.state, fresh.state, r.flights.size]).toEqual(['lost', 'queued', 1])
    r.ack(old)
    r.ack(fresh)
    await r.time.quiet()
    expect(r.settles.flat()).toHaveLength(1)
    expect(r.flights.bytes).toBe(0)
  })
})

describe('waiting', () => {
  test('goes on after its delay', async () => {
    const r = rig()
    const flight = r.take()
    run(r, flight)
    r.flights.apply(flight, 'wait')
    let resumed = 0
    r.flights.wait(flight, 500, () => resumed++)
    await r.time.advance(499)
    expect(resumed).toBe(0)
    await r.time.advance(1)
    expect(resumed).toBe(1)
  })

  test('ends early when it is woken, and not at all once lost or settled; no timer is left', async () => {
    const r = rig()
    let resumed = 0
    const waiting = (token: number): Flight => {
      const flight = r.take({ token })
      r.flights.apply(flight, 'wait')
      r.flights.wait(flight, 3_600_000, () => resumed++)
      return flight
    }
    waiting(1).wake?.()
    expect(resumed).toBe(1)
    waiting(2)
    r.flights.lose([2], new PolybusError('LEASE_LOST'))
    r.ack(waiting(3))
    await r.time.quiet()
    expect(resumed).toBe(1)
    expect(r.time.pending).toBe(false)
  })
})
