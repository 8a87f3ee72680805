import { expect, test } from 'vitest'
import { RULES, refuseUnsupported, type Situation } from '../src/rules.ts'
import { capabilities, thrown } from './fake.ts'

const situation = (over: Partial<Situation> = {}, able: Parameters<typeof capabilities>[0] = {}): Situation => ({
  delivery: 'at-least-once',
  store: 'none',
  keyed: false,
  inOrder: false,
  parking: 'none',
  batch: false,
  wait: undefined,
  from: undefined,
  retries: false,
  timeoutMs: 30_000,
  heldMs: 0,
  capabilities: capabilities(able),
  ...over,
})
const inOrder = { inOrder: true, keyed: true, store: 'claim', parking: 'durable' } as const
const refused: readonly [feature: RegExp, Situation][] = [
  [/at-most-once.*store/, situation({ delivery: 'at-most-once', store: 'claim' })],
  [/at-most-once.*retries/, situation({ delivery: 'at-most-once', retries: true })],
  [/transactional/, situation({ delivery: 'transactional' })],
  [/transactional.*store/, situation({ delivery: 'transactional', store: 'claim' }, { transactional: true })],
  [/transactional.*batch/, situation({ delivery: 'transactional', batch: true }, { transactional: true })],
  [/order by key/, situation({ keyed: true }, { ordering: false })],
  [/released/, situation({ wait: 'released' }, { delay: { kind: 'none' } })],
  [/from/, situation({ from: 'beginning' }, { from: ['end'] })],
  [
    /timeout above the lease/,
    situation({ timeoutMs: 30_001 }, { lease: { ms: 30_000, renewable: false, maxHoldMs: null } }),
  ],
  [
    /held retries longer/,
    situation(
      { keyed: true, timeoutMs: 1000, heldMs: 9001 },
      { lease: { ms: null, renewable: true, maxHoldMs: 10_000 } },
    ),
  ],
  [/in-order.*delivery/, situation({ ...inOrder, delivery: 'transactional', store: 'none' }, { transactional: true })],
  [/in-order.*without a key/, situation({ ...inOrder, keyed: false })],
  [/in-order.*store that can park/, situation({ ...inOrder, parking: 'none' })],
  [/in-order.*store in memory/, situation({ ...inOrder, parking: 'process' }, { persistent: true })],
  [/in-order.*released/, situation({ ...inOrder, wait: 'released' })],
  [/batch.*transactional store/, situation({ batch: true, store: 'transactional' })],
]

for (const [feature, when] of refused)
  test(`refused: ${feature.source}`, () => {
    const error = thrown(() => refuseUnsupported('fake', 'orders/email', when))
    const rule = RULES.find((candidate) => candidate.when(when))
    expect(error.code).toBe('UNSUPPORTED')
    expect(error.message).toMatch(feature)
    expect(error.message).toContain('fake')
    expect(error.message).toContain('orders/email')
    expect(error.message).toContain(rule?.alternative)
  })

test('every rule is tried above', () => {
  const tried = new Set(refused.map(([, when]) => RULES.find((rule) => rule.when(when))))
  expect(RULES.filter((rule) => !tried.has(rule)).map(({ feature }) => feature)).toEqual([])
})

test('what is just inside is allowed', () => {
  for (const fine of [
    situation(),
    situation({ store: 'transactional', keyed: true, retries: true }),
    situation({ batch: true, store: 'claim' }),
    situation({ delivery: 'at-most-once' }),
    situation(inOrder),
    situation({ ...inOrder, batch: true, wait: 'held' }),
    situation({ ...inOrder, store: 'transactional' }),
    situation({ ...inOrder, parking: 'process' }, { persistent: false }),
    situation({ wait: 'held' }, { delay: { kind: 'none' } }),
    situation({ timeoutMs: 30_000 }, { lease: { ms: 30_000, renewable: false, maxHoldMs: null } }),
    situation({ timeoutMs: 99_000 }, { lease: { ms: 30_000, renewable: true, maxHoldMs: null } }),
    situation(
      { wait: 'released', keyed: true, timeoutMs: 1000, heldMs: 1e9 },
      { lease: { ms: null, renewable: true, maxHoldMs: 10_000 } },
    ),
    situation({ delivery: 'transactional' }, { transactional: true }),
  ])
    refuseUnsupported('fake', 'orders/email', fine)
})
