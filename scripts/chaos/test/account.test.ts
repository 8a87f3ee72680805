import { expect, test } from 'vitest'
import { accountOf, type Effect, type Evidence, type Incident } from '../src/account.ts'

const effect = (seq: number, customer: string, at = 1000 + seq, by = 'consumer-1.1'): Effect => ({
  seq,
  customer,
  by,
  at,
})
const evidence = (effects: readonly Effect[], more: Partial<Evidence> = {}): Evidence => ({
  confirmed: new Map([0, 1, 2, 3].map((seq) => [seq, { at: 900 + seq, by: 'publisher-1.1' }])),
  effects,
  deadLetters: new Set(),
  duplicatesAbsorbed: 0,
  incidents: [],
  store: 'transactional',
  ...more,
})
const all = [effect(0, 'a'), effect(1, 'a'), effect(2, 'b'), effect(3, 'b')]
const killed = (at: number): Incident => ({
  lane: 'consumers',
  kind: 'kill-consumer',
  at,
  until: at + 500,
  killed: 'consumer-1.1',
  successor: 'consumer-1.2',
})
const storeAway: Incident = { lane: 'store', kind: 'store-away', at: 1000, until: 3000 }

test('one effect each, in order: every promise held', () => {
  const account = accountOf(evidence(all, { duplicatesAbsorbed: 7 }))
  expect(account).toMatchObject({
    published: 4,
    handled: 4,
    effects: 4,
    duplicatesAbsorbed: 7,
    lost: [],
    doubleEffects: [],
    orderViolations: [],
    ok: true,
  })
})

test('a purchase without an effect is lost, by its number', () => {
  const account = accountOf(evidence(all.filter(({ seq }) => seq !== 2)))
  expect(account).toMatchObject({ published: 4, handled: 3, lost: [2], ok: false })
})

test('a dead letter is not lost', () => {
  const account = accountOf(evidence(all.slice(0, 3), { deadLetters: new Set([3]) }))
  expect(account).toMatchObject({ lost: [], deadLetters: 1, ok: true })
})

test('what was never confirmed is not lost, and what it did counts as an effect', () => {
  const confirmed = new Map([[0, { at: 900, by: 'publisher-1.1' }]])
  expect(accountOf(evidence([effect(0, 'a'), effect(9, 'a')], { confirmed }))).toMatchObject({
    published: 1,
    handled: 2,
    lost: [],
    ok: true,
  })
})

test('every effect beyond the first is a double one', () => {
  const account = accountOf(evidence([...all, effect(1, 'a', 5000), effect(1, 'a', 5001)]))
  expect(account).toMatchObject({ handled: 4, effects: 6, doubleEffects: [1, 1], orderViolations: [], ok: false })
})

test('with a transactional store there is no gap to excuse a double effect', () => {
  const incidents = [killed(1001), storeAway]
  expect(accountOf(evidence([...all, effect(1, 'a', 5000)], { incidents }))).toMatchObject({
    inTheGap: { killed: 0, storeAway: 0 },
    ok: false,
  })
})

test('with a claim store it is excused where its process was killed just behind the effect', () => {
  const incidents = [killed(1050)]
  const account = accountOf(evidence([...all, effect(1, 'a', 70_000)], { incidents, store: 'claim' }))
  expect(account).toMatchObject({ doubleEffects: [1], inTheGap: { killed: 1, storeAway: 0 }, ok: true })
})

test('with a claim store it is excused where the store was away', () => {
  const account = accountOf(evidence([...all, effect(1, 'a', 70_000)], { incidents: [storeAway], store: 'claim' }))
  expect(account).toMatchObject({ doubleEffects: [1], inTheGap: { killed: 0, storeAway: 1 }, ok: true })
})

test.each([
  ['that was killed long after', [killed(9000)]],
  ['that was killed before', [killed(500)]],
  ['while another one was killed', [{ ...killed(1050), killed: 'consumer-2.1' }]],
  ['before the store went away', [{ ...storeAway, at: 20_000, until: 21_000 }]],
  ['while the broker was away', [{ ...storeAway, lane: 'broker' as const, kind: 'pause' as const }]],
])('a claim store excuses nothing of a process %s', (_, incidents) => {
  const account = accountOf(evidence([...all, effect(1, 'a', 70_000)], { incidents, store: 'claim' }))
  expect(account).toMatchObject({ inTheGap: { killed: 0, storeAway: 0 }, ok: false })
})

test('one of a customer that comes after a later one is out of order; others may come as they like', () => {
  const account = accountOf(evidence([effect(2, 'b'), effect(1, 'a'), effect(0, 'a'), effect(3, 'b')]))
  expect(account).toMatchObject({ orderViolations: [0], lost: [], ok: false })
})

test('recovery is from the beginning of an outage to the first effect after its end', () => {
  const incidents: Incident[] = [
    { lane: 'broker', kind: 'kill-broker', at: 1000, until: 1500 },
    { lane: 'broker', kind: 'kill-broker', at: 5000, until: 5100 },
    { lane: 'broker', kind: 'cut', at: 9000, until: 9000 },
  ]
  const effects = [effect(0, 'a', 1200), effect(1, 'a', 1700), effect(2, 'b', 5300), effect(3, 'b', 6000)]
  const { recoveryMs, unanswered } = accountOf(evidence(effects, { incidents }))
  expect(recoveryMs).toEqual({ 'kill-broker': { count: 2, median: 300, max: 700 } })
  expect(unanswered).toBe(1)
})

test('recovery of a process is that of its successor', () => {
  const incidents: Incident[] = [
    killed(1000),
    { lane: 'publishers', kind: 'kill-publisher', at: 1000, until: 1100, successor: 'publisher-1.2' },
  ]
  const effects = [effect(0, 'a', 1600), effect(1, 'a', 2500, 'consumer-1.2')]
  const confirmed = new Map([
    [0, { at: 1150, by: 'publisher-2.1' }],
    [1, { at: 1400, by: 'publisher-1.2' }],
  ])
  expect(accountOf(evidence(effects, { incidents, confirmed })).recoveryMs).toEqual({
    'kill-consumer': { count: 1, median: 1500, max: 1500 },
    'kill-publisher': { count: 1, median: 400, max: 400 },
  })
})
