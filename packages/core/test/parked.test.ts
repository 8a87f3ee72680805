import { describe, expect, test } from 'vitest'
import type { AttemptResult } from '../src/consume/decide.ts'
import { createClaims, createTransactions, type Job } from '../src/consume/deduplicate.ts'
import { createFlight, type Flight, type FlightOwner } from '../src/consume/flight.ts'
import { createParked, fromText, messageIdOf, type Parked, toText } from '../src/consume/parked.ts'
import { readProgress } from '../src/consume/progress.ts'
import { PolybusError } from '../src/errors.ts'
import {
  type ClaimStore,
  escapeText,
  lineOf,
  type MaybePromise,
  type ParkedMessage,
  type TransactionalParking,
  unescapeText,
} from '../src/idempotency.ts'
import type { WireMessage } from '../src/message.ts'
import { deferred, delivery, manual, watch, wire } from './fake.ts'

const DONE: AttemptResult = { kind: 'done' }
const FAILED: AttemptResult = { kind: 'failed', error: 'boom' }
const DOWN = new PolybusError('STORE_UNAVAILABLE')
const silent = { debug() {}, info() {}, warn() {}, error() {} }

const flightOf = (over: Partial<WireMessage> = {}): Flight => {
  const message = wire({ key: 'ann', id: 'm-1', source: 'polybus', ...over })
  const flight = createFlight({} as FlightOwner, delivery({ message }), 'ann', 1, readProgress(message))
  flight.state = 'running'
  return flight
}

/** A store that says what it is told to say, and a broker that can be away. */
function rig(over: Partial<TransactionalParking<unknown>> = {}, broker: { error?: PolybusError } = {}) {
  const time = manual()
  const calls: string[] = []
  const sent: WireMessage[] = []
  const troubles: (string | undefined)[] = []
  const next: ParkedMessage = { id: 'polybus:m-2', message: toText(wire({ id: 'm-2' })) }
  const parking: TransactionalParking<unknown> = {
    durable: true,
    enter: (_, id) => (calls.push(`enter ${id}`), 'free'),
    look: (_, id, tx) => (calls.push(`look ${id} ${String(tx)}`), 'free'),
    block: (_, id) => (calls.push(`block ${id}`), 'head'),
    advance: (_, id, tx) => (calls.push(tx === 'tx' ? `advance ${id} tx` : `advance ${id}`), next),
    sent: (_, id) => void calls.push(`sent ${id}`),
    head: () => undefined,
    list: () => [],
    ...over,
  }
  const parked = createParked({
    parking,
    channel: 'orders',
    group: 'mail',
    clock: time.clock,
    log: silent,
    onTrouble: (error) => troubles.push(error?.code),
    async send(message) {
      calls.push(`publish ${message.id}`)
      if (broker.error) throw broker.error
      sent.push(message)
    },
  })
  return { time, calls, sent, troubles, parked }
}
const job = (parked: Parked, calls: string[], result: AttemptResult, flight = flightOf()) => {
  const over = deferred<AttemptResult>()
  const one: Job = {
    run: (tx, ended) => {
      calls.push(tx === 'tx' ? 'run tx' : 'run')
      ended(result)
    },
    finish: over.resolve,
    startedAt: 0,
    place: parked.placeOf(flight),
    signal: new AbortController().signal,
    abort() {},
  }
  return { one, over: over.promise }
}

describe('the text of a message', () => {
  for (const [what, message] of [
    ['binary bodies and headers', wire({ body: Uint8Array.from({ length: 256 }, (_, byte) => byte) })],
    ['a tombstone', wire({ body: null })],
    ['an empty body', wire({ body: Buffer.alloc(0) })],
    [
      'headers in order, twice, empty and binary',
      wire({
        headers: [
          ['b', '1'],
          ['a', ''],
          ['b', 'é\n"'],
          ['bin', Buffer.from([0, 255])],
        ],
      }),
    ],
    ['all attributes', wire({ dataSchema: 's', correlationId: 'c', causationId: 'd', time: 5, type: 't' })],
    [
      'none',
      wire({
        id: undefined,
        source: undefined,
        type: undefined,
        time: undefined,
        key: undefined,
        contentType: undefined,
      }),
    ],
  ] as const)
    test(`keeps ${what}`, () => {
      const read = fromText(toText(message))
      const bytes = (value: unknown): unknown => (value instanceof Uint8Array ? [...value] : value)
      const plain = (some: WireMessage): unknown => ({
        ...some,
        body: bytes(some.body),
        headers: some.headers.map(([name, value]) => [name, bytes(value)]),
      })
      expect(plain(read)).toEqual(plain(message))
      expect(toText(message)).not.toMatch(/[\n\0]/)
    })
})

describe('a place in a line', () => {
  const { parked } = rig()
  for (const [what, over, id] of [
    ['source and id', {}, 'polybus:m-1'],
    ['a source with colons', { source: 'urn:shop' }, 'urn%003ashop:m-1'],
    ['a foreign message', { source: undefined, id: 'things/0/7' }, ':things/0/7'],
    ['a frozen id', { source: undefined, id: 'things/0/9', headers: [['polybus-id', 'things/0/7']] }, ':things/0/7'],
    ['what it was before an edit', { headers: [['polybus-line', 'other:m-9']] }, 'other:m-9'],
    ['NUL and lone surrogates', { id: 'a\0\ud800%' }, 'polybus:a%0000%d800%0025'],
  ] as const)
    test(`goes by ${what}`, () =>
      expect(parked.placeOf(flightOf(over))).toMatchObject({
        line: 'orders:mail:ann',
        id,
      }))
  test('goes by the idempotency key where there is no id, and is none without either', () => {
    const flight = flightOf({ id: undefined })
    expect(parked.placeOf(flight)).toBeUndefined()
    flight.ownKey = 'm-1'
    expect(parked.placeOf(flight)?.id).toBe('%:m-1')
  })
  test('is none without a key', () => expect(parked.placeOf(flightOf({ key: undefined }))).toBeUndefined())
  test('names are reversible, and apart', () => {
    for (const text of ['', 'a:b', '%', '%0000', 'a\0b', '\ud800', '\udc00', '👩‍👧', '%25'])
      expect(unescapeText(escapeText(text))).toBe(text)
    expect(lineOf('orders', 'mail', '\0')).not.toBe(lineOf('orders', 'mail', '%0000'))
    expect(messageIdOf('urn%003ashop:a:b%0000')).toBe('a:b\0')
  })
})

describe('the copy that is kept', () => {
  test('is the message as it came, with a new count of attempts and its place', async () => {
    let kept = ''
    const { parked } = rig({ enter: (_line, _id, text) => ((kept = text), 'parked') })
    const headers: WireMessage['headers'] = [
      ['tenant', 'x'],
      ['polybus-attempt', '3'],
      ['polybus-delay', '5'],
      ['polybus-replays', '1'],
      ['polybus-origin', 'things/0/7'],
    ]
    const place = parked.placeOf(flightOf({ id: 'm-1', source: 'polybus', headers }))
    if (place) await parked.enter(place)
    expect(fromText(kept).headers).toEqual([
      ['tenant', 'x'],
      ['polybus-origin', 'things/0/7'],
      ['polybus-replays', '1'],
      ['polybus-line', 'polybus:m-1'],
    ])
  })
  test('of a foreign message has the id that it was given', async () => {
    let kept = ''
    const { parked } = rig({ enter: (_line, _id, text) => ((kept = text), 'parked') })
    const place = parked.placeOf(flightOf({ id: 'things/0/7', source: undefined }))
    if (place) await parked.enter(place)
    expect(fromText(kept).headers).toContainEqual(['polybus-id', 'things/0/7'])
  })
})

describe('with a claim store', () => {
  const steps = async (
    given: { claim?: 'claimed' | 'duplicate' | 'busy'; result?: AttemptResult; broker?: PolybusError },
    over: Partial<TransactionalParking<unknown>> = {},
  ): Promise<[string[], unknown]> => {
    const { parked, calls, time } = rig(over, given.broker ? { error: given.broker } : {})
    const store: ClaimStore = {
      kind: 'claim',
      claim: () =>
        (given.claim ?? 'claimed') === 'claimed' ? { status: 'claimed', fence: 7 } : ({ status: given.claim } as never),
      complete: () => (calls.push('complete'), true),
      release: () => void calls.push('release'),
      renew: () => true,
    }
    const { one, over: end } = job(parked, calls, given.result ?? DONE)
    const watched = watch(end)
    createClaims(store, { clock: time.clock, onTrouble() {}, parked })('k', one)
    await time.quiet()
    return [calls, watched.value]
  }
  const later = <T>(value: T): MaybePromise<T> => Promise.resolve(value)
  const passed = ['advance polybus:m-1', 'publish m-2', 'sent polybus:m-2']

  test('what is free runs as ever', async () =>
    expect(await steps({})).toEqual([['enter polybus:m-1', 'run', 'complete'], DONE]))
  for (const answer of [<T>(value: T) => value as MaybePromise<T>, later]) {
    test('a head that is done lets the next one go, and is done after that', async () =>
      expect(await steps({}, { enter: () => answer('head') })).toEqual([['run', 'complete', ...passed], DONE]))
    test('what is behind does not run: its claim goes back', async () =>
      expect(await steps({}, { enter: () => answer('parked') })).toEqual([['release'], { kind: 'parked' }]))
  }
  test('a head that fails passes nothing on', async () =>
    expect(await steps({ result: FAILED }, { enter: () => 'head' })).toEqual([['run', 'release'], FAILED]))
  test('a duplicate passes on what a crash may have left', async () =>
    expect(await steps({ claim: 'duplicate' })).toEqual([passed, { kind: 'duplicate' }]))
  test('the last of a line publishes nothing', async () =>
    expect(await steps({ claim: 'duplicate' }, { advance: () => undefined })).toEqual([[], { kind: 'duplicate' }]))
  test('what is busy elsewhere is left alone', async () =>
    expect(await steps({ claim: 'busy' })).toEqual([[], { kind: 'busy' }]))
  test('a broker that does not take the next one: the message is not done, and the store not told', async () => {
    const error = new PolybusError('PUBLISH_TIMEOUT')
    const [calls, result] = await steps({ broker: error }, { enter: () => 'head' })
    expect(result).toEqual({ kind: 'unsent', error })
    expect(calls).toEqual(['run', 'complete', 'advance polybus:m-1', 'publish m-2'])
  })
  for (const [what, fails, calls] of [
    ['enter', { enter: () => Promise.reject(DOWN) }, ['release']],
    [
      'enter',
      {
        enter: () => {
          throw DOWN
        },
      },
      ['release'],
    ],
    ['advance', { enter: () => 'head', advance: () => Promise.reject(DOWN) }, ['run', 'complete']],
    [
      'sent',
      { enter: () => 'head', sent: () => Promise.reject(DOWN) },
      ['run', 'complete', 'advance polybus:m-1', 'publish m-2'],
    ],
  ] as const)
    test(`a store that fails at ${what} is no attempt`, async () => {
      const [seen, result] = await steps({}, fails as Partial<TransactionalParking<unknown>>)
      expect(result).toMatchObject({ kind: 'unavailable', error: { code: 'STORE_UNAVAILABLE' } })
      expect(seen).toEqual(calls)
    })
})

describe('with a transactional store', () => {
  const steps = async (
    how: 'done' | 'duplicate' | 'busy',
    over: Partial<TransactionalParking<unknown>> = {},
    result: AttemptResult = DONE,
  ): Promise<[string[], unknown]> => {
    const { parked, calls } = rig(over)
    const { one, over: end } = job(parked, calls, result)
    createTransactions(
      {
        kind: 'transactional',
        async run(_, work) {
          if (how !== 'done') return how
          try {
            await work('tx')
          } catch (error) {
            calls.push('rollback')
            throw error
          }
          calls.push('commit')
          return 'done'
        },
      },
      parked,
    )('k', one)
    return [calls, await end]
  }
  test('what is free runs as ever', async () =>
    expect(await steps('done')).toEqual([['look polybus:m-1 tx', 'run tx', 'commit'], DONE]))
  test('a head advances with the handler, and the next one is sent after the commit', async () =>
    expect(await steps('done', { look: () => 'head' })).toEqual([
      ['run tx', 'advance polybus:m-1 tx', 'commit', 'publish m-2', 'sent polybus:m-2'],
      DONE,
    ]))
  test('a head that fails rolls back, and passes nothing on', async () =>
    expect(await steps('done', { look: () => 'head' }, FAILED)).toEqual([['run tx', 'rollback'], FAILED]))
  test('what is behind is parked outside, after the rollback', async () => {
    const calls: string[] = []
    const over: Partial<TransactionalParking<unknown>> = {
      look: () => 'behind',
      enter: () => (calls.push('enter'), 'parked'),
    }
    expect([await steps('done', over), calls]).toEqual([[['rollback'], { kind: 'parked' }], ['enter']])
  })
  test('a line that went meanwhile: it comes again soon', async () =>
    expect(await steps('done', { look: () => 'behind', enter: () => 'free' })).toEqual([
      ['rollback'],
      { kind: 'busy' },
    ]))
  test('a duplicate passes on what a crash may have left', async () =>
    expect(await steps('duplicate')).toEqual([
      ['advance polybus:m-1', 'publish m-2', 'sent polybus:m-2'],
      { kind: 'duplicate' },
    ]))
  test('busy', async () => expect(await steps('busy')).toEqual([[], { kind: 'busy' }]))
  for (const [what, over] of [
    ['look', { look: () => Promise.reject(DOWN) }],
    ['enter', { look: () => 'behind', enter: () => Promise.reject(DOWN) }],
    ['advance', { look: () => 'head', advance: () => Promise.reject(DOWN) }],
  ] as const)
    test(`a store that fails at ${what} is no attempt`, async () =>
      expect((await steps('done', over as Partial<TransactionalParking<unknown>>))[1]).toMatchObject({
        kind: 'unavailable',
      }))
})

describe('block', () => {
  test('is tried until the store has it', async () => {
    let failures = 2
    const { parked, time, troubles } = rig({
      block: () => (failures-- > 0 ? Promise.reject(DOWN) : Promise.resolve('head' as const)),
    })
    const place = parked.placeOf(flightOf())
    const blocking = watch(place ? parked.block(place) : Promise.resolve(undefined))
    await time.advance(100)
    expect([blocking.state, troubles]).toEqual(['open', ['STORE_UNAVAILABLE']])
    await time.advance(400)
    expect([blocking.value, troubles.at(-1)]).toEqual(['head', undefined])
  })
  test('ends when the delivery is no longer ours', async () => {
    const { parked, time } = rig({ block: () => Promise.reject(DOWN) })
    const flight = flightOf()
    const place = parked.placeOf(flight)
    const blocking = watch(place ? parked.block(place) : Promise.resolve(undefined))
    await time.advance(100)
    flight.state = 'lost'
    await time.advance(400)
    expect([blocking.state, blocking.value, time.pending]).toEqual(['resolved', undefined, false])
  })
})
