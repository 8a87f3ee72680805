// Runs cases and judges them. Knows nothing of terminals and test frameworks.
import { randomUUID } from 'node:crypto'
import {
  type Adapter,
  type AnyChannel,
  type Clock,
  consumer,
  type Message,
  PolybusError,
  sleep,
  systemClock,
} from '@polybus/core'
import { type Case, LeftOut, spec } from './case.ts'
import { cases as allCases } from './cases/index.ts'
import { type CaseEnv, createEnv, idOf, type Mode } from './env.ts'
import type { Facts } from './facts.ts'
import type { Faults, Harness, Timing } from './harness.ts'
import { within } from './wait.ts'

export interface CaseResult {
  readonly id: string
  readonly title: string
  readonly tier: Case['tier']
  readonly outcome: 'passed' | 'failed' | 'skipped'
  /** Why it failed or was left out. */
  readonly reason: string | undefined
  readonly ms: number
}

export interface RunOptions {
  readonly mode?: Mode | undefined
  readonly without?: readonly string[] | undefined
  /** Ids or numbers: `4` is every case whose id starts with 4 and goes on with a letter. */
  readonly only?: readonly string[] | undefined
  /** Of these tiers alone. */
  readonly tiers?: readonly Case['tier'][] | undefined
  readonly parallel?: number | undefined
  /** Starts no case after one has failed, and does not wait for those that run. */
  readonly bail?: boolean | undefined
  readonly onResult?: ((result: CaseResult) => void) | undefined
}

export function select(only: readonly string[] | undefined): readonly Case[] {
  if (!only || only.length === 0) return allCases
  const unknown = only.filter((id) => !allCases.some((one) => matches(one, id)))
  if (unknown.length > 0)
    throw new Error(`No case ${unknown.join(', ')}. Cases: ${[...new Set(allCases.map(({ id }) => id))].join(' ')}`)
  return allCases.filter((one) => only.some((id) => matches(one, id)))
}

/** What may run side by side, faults first because they take longest, and what may not. */
export function schedule(chosen: readonly Case[]): { together: readonly Case[]; alone: readonly Case[] } {
  return { together: chosen.filter((one) => !one.alone).toReversed(), alone: chosen.filter((one) => one.alone) }
}

const PREPARE_MS = 60_000
const CLEANUP_MS = 30_000

const matches = ({ id }: Case, wanted: string): boolean =>
  id === wanted ||
  (/^d?\d+[a-z]?$|^d$/.test(wanted) &&
    id.startsWith(wanted) &&
    (wanted === 'd' || !/^\d/.test(id.slice(wanted.length)) || /[a-z]$/.test(wanted)))

const choose = ({ only, tiers }: Pick<RunOptions, 'only' | 'tiers'>): readonly Case[] =>
  select(only).filter(({ tier }) => tiers?.includes(tier) ?? true)

/** How many cases these options choose, those that do not apply included. */
export const countCases = (options: Pick<RunOptions, 'only' | 'tiers'>): number => choose(options).length

/** Runs the chosen cases; results in the order of the list. */
export async function runCases(harness: Harness, options: RunOptions = {}): Promise<readonly CaseResult[]> {
  const chosen = choose(options)
  const results = new Map<Case, CaseResult>()
  let stop: () => void = () => {}
  const stopped = new Promise<void>((resolve) => (stop = resolve))
  let over = false
  const run = async (one: Case): Promise<void> => {
    if (over) return
    const result = await runCase(harness, one, options)
    results.set(one, result)
    options.onResult?.(result)
    if (!options.bail || result.outcome !== 'failed') return
    over = true
    stop()
  }
  const { together, alone } = schedule(chosen)
  const lanes = Math.max(1, options.parallel ?? harness.parallel ?? 1)
  let next = 0
  const lane = async (): Promise<void> => {
    for (let one = together[next++]; one; one = together[next++]) await run(one)
  }
  const all = async (): Promise<void> => {
    await Promise.all(Array.from({ length: lanes }, lane))
    for (const one of alone) await run(one)
  }
  await Promise.race([all(), stopped])
  return chosen.flatMap((one) => results.get(one) ?? [])
}

/** One case on a namespace of its own. Never rejects. */
export async function runCase(
  harness: Harness,
  one: Case,
  { mode = 'quick', without = [] }: RunOptions = {},
): Promise<CaseResult> {
  const clock = systemClock()
  const start = clock.now()
  const namespace = `c${one.id}-${randomUUID().slice(0, 8)}`.toLowerCase()
  const end = (outcome: CaseResult['outcome'], reason?: string): CaseResult => {
    const { id, title, tier } = one
    return { id, title, tier, outcome, reason, ms: Math.round(clock.now() - start) }
  }
  const stop = new AbortController()
  let faults: Faults = {}
  let env: CaseEnv | undefined
  try {
    await within(clock, Promise.resolve(harness.prepare?.(namespace)), PREPARE_MS, 'preparing the namespace')
    faults = revived(harness.faults?.(namespace) ?? {})
    const facts = await gather(harness, namespace, without, faults)
    const reason = one.needs?.(facts)
    if (reason !== undefined) return end('skipped', reason)
    const timing = timingOf(harness, facts)
    env = createEnv({
      facts,
      harness,
      timing,
      without,
      namespace,
      mode,
      clock,
      signal: stop.signal,
      faults,
      foreign: facts.foreign,
    })
    await within(clock, one.run(env), Math.max(timing.caseMs, one.limitMs?.[mode] ?? 0), 'the case')
    await within(clock, judge(env, one), timing.caseMs, 'the judgement after the case')
    return end('passed')
  } catch (error) {
    if (error instanceof LeftOut) return end('skipped', error.message)
    return end('failed', describe(error, env))
  } finally {
    stop.abort()
    await cleanUp(clock, env, faults, () => harness.cleanup?.(namespace))
  }
}

/** A server that a case killed is started again after it, whatever became of the case. */
function revived(faults: Faults): Faults {
  const { kill, restart } = faults
  if (!kill || !restart) return faults
  let dead = false
  return {
    ...faults,
    async kill() {
      dead = true
      await kill()
    },
    async restart() {
      if (dead) await restart()
      dead = false
    },
  }
}

/** What the adapter says of itself, once connected. */
async function gather(
  harness: Harness,
  namespace: string,
  without: readonly string[],
  faults: Facts['faults'],
): Promise<Facts> {
  const adapter = harness.open(namespace, { without })
  try {
    await adapter.connect({ signal: new AbortController().signal, namespace, service: 'polybus', topology: 'create' })
    return {
      adapter,
      harness,
      faults,
      foreign: harness.foreign?.(namespace),
      plain: adapter.capabilities(spec('probe', false, ['work'])),
      keyed: adapter.capabilities(spec('probe', true, ['work'])),
    }
  } finally {
    await adapter.close()
  }
}

function timingOf(harness: Harness, { plain }: Facts): Timing {
  return { leaseMs: plain.lease.ms ?? 30_000, patienceMs: 15_000, caseMs: 60_000, ageMs: 0, ...harness.timing }
}

/** Lets what is left over be handled, then asks the ledger. */
async function judge(env: CaseEnv, one: Case): Promise<void> {
  await env.closeBuses()
  await drain(env)
  if ((one.settles ?? one.tier === 'plain') && env.plain.stats.backlog && env.adapter.stats) await allSettled(env)
  const letters = new Map<string, ReadonlySet<string>>()
  const adapter = await env.connect(env.open())
  for (const { channel, group } of env.ledger.groups())
    letters.set(`${channel}/${group}`, await deadLetterIds(env, adapter, channel, group))
  const violations = env.ledger.violations((channel, group) => letters.get(`${channel}/${group}`) ?? new Set())
  if (violations.length > 0)
    throw new Error(`The ledger does not add up:\n${violations.map((text) => `  - ${text}`).join('\n')}`)
}

/** Consumers that succeed, for each group that still lacks something. */
async function drain(env: CaseEnv): Promise<void> {
  const adapter = await env.connect(env.open())
  const lacking: { channel: string; group: string }[] = []
  for (const { channel, group } of env.ledger.groups()) {
    const open = env.ledger.open(channel, group)
    if (open.length === 0) continue
    const letters = await deadLetterIds(env, adapter, channel, group)
    if (open.some((id) => !letters.has(id))) lacking.push({ channel, group })
  }
  if (lacking.length === 0) return
  const bus = await env.bus()
  const consumers = lacking.flatMap(({ channel, group }) => {
    const known = env.channels.get(channel)
    return known ? [env.consumer(known, group, { label: 'drain' })] : []
  })
  await bus.start(...consumers)
  const end = env.clock.now() + env.timing.patienceMs + 2 * env.timing.leaseMs
  // A message that never comes is the ledger's to report.
  while (env.clock.now() < end && lacking.some(({ channel, group }) => env.ledger.open(channel, group).length > 0))
    await sleep(env.clock, 20, env.signal)
  await env.closeBuses()
}

/** What was handled must be gone from the broker: an unsettled message would come again. */
async function allSettled(env: CaseEnv): Promise<void> {
  const adapter = await env.connect(env.open())
  const { stats } = adapter
  if (!stats) return
  for (const { channel, group } of env.ledger.groups()) {
    const known = env.channels.get(channel)
    if (!known) continue
    let last = ''
    const settled = env.waitFor(
      async () => {
        try {
          const read = await stats.read(known['~definition'].spec, group, env.call)
          last = JSON.stringify(read)
          return !read.backlog && !read.inFlight
        } catch (error) {
          // A broker that is slow is asked again, as a bus would.
          if (!PolybusError.is(error, 'CONNECTION_FAILED')) return unlessAbsent(error) === undefined
          last = error.message
          return false
        }
      },
      () => `nothing to be left unsettled of ${channel}/${group}; its stats: ${last}`,
      env.timing.leaseMs + env.timing.patienceMs,
    )
    await settled.catch(async (error: Error) => {
      const left = await leftOvers(env, known, group)
      // A second copy came when nobody was there any more. Anything else was taken, and not settled.
      if (left.length > 0 && left.every(({ id }) => env.uncertain.has(id))) return
      throw new Error(`${error.message}; a consumer gets: ${JSON.stringify(left)}`)
    })
  }
}

type LeftOver = Pick<Message, 'id' | 'key' | 'headers'> & { readonly attempt: number }

/** What a consumer gets that comes afterwards. */
async function leftOvers(env: CaseEnv, channel: AnyChannel, group: string): Promise<readonly LeftOver[]> {
  const found: LeftOver[] = []
  const bus = await env.bus()
  await bus.start(
    consumer(channel, group, {
      handler: (_, { message: { id, key, headers }, attempt }) => void found.push({ id, key, attempt, headers }),
    }),
  )
  await sleep(env.clock, LEFT_OVERS_MS, env.signal)
  return found
}

const LEFT_OVERS_MS = 5000

/** A group that the case deleted, or that never came to be. */
function unlessAbsent(error: unknown): undefined {
  if (PolybusError.is(error, 'UNKNOWN_GROUP') || PolybusError.is(error, 'TOPOLOGY_MISSING')) return undefined
  throw error
}

async function deadLetterIds(
  env: CaseEnv,
  adapter: Adapter,
  channel: string,
  group: string,
): Promise<ReadonlySet<string>> {
  const known = env.channels.get(channel)
  const ids = new Set<string>()
  if (!known || !adapter.browse) return ids
  const session = await adapter.browse.open(known['~definition'].spec, group, env.call).catch(unlessAbsent)
  if (!session) return ids
  try {
    for (;;) {
      const letters = await session.next(100, env.call)
      if (letters.length === 0) return ids
      for (const { message, position } of letters) ids.add(idOf(message) ?? position)
    }
  } finally {
    await session.close()
  }
}

async function cleanUp(
  clock: Clock,
  env: CaseEnv | undefined,
  faults: Facts['faults'],
  cleanup: () => unknown,
): Promise<void> {
  // The case has its verdict: what goes wrong here may not change it, and may not hang the suite.
  const steps = [
    () => faults.restart?.(),
    () => faults.resume?.(),
    () => faults.up?.(),
    () => faults.stall?.(false),
    () => env?.close(),
    cleanup,
  ]
  for (const step of steps) await within(clock, Promise.resolve().then(step), CLEANUP_MS, 'cleaning up').catch(() => {})
}

function describe(error: unknown, env: CaseEnv | undefined): string {
  const text = error instanceof Error ? error.message : String(error)
  const place = error instanceof Error ? /\/cases\/[^)\s]+/.exec(error.stack ?? '')?.[0] : undefined
  const logged = env && env.logged.length > 0 ? `\n  logged: ${[...new Set(env.logged)].slice(0, 3).join(' | ')}` : ''
  return `${text}${place ? `\n  at ${place.slice(1)}` : ''}${logged}`
}
