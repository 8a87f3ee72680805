// Order over dead letters while consumers die at every step of it.
import type { Parking } from '@polybus/core'
import { all, browsing, type Case, ordering } from '../case.ts'
import { type AnswerStore, startChild } from '../child-protocol.ts'
import type { Env, Item } from '../env.ts'
import { remoteStore } from '../remote-store.ts'
import { IN_ORDER, LONG_MS, open, type Shop } from './parked-shop.ts'
import type { TestStore } from './stores.ts'

type Method = 'complete' | keyof Omit<Parking, 'durable' | 'head' | 'list'>
interface Point {
  readonly id: string
  readonly when: string
  readonly method: Method
  readonly side: 'before' | 'after'
  /** Of this message's turn: the first one is dead-lettered, the others are parked. */
  readonly of: 'first' | 'second'
}

/** Each call that the store gets, seen from both sides. */
const POINTS: readonly Point[] = [
  { id: '29m', when: 'before it blocks the key', method: 'block', side: 'before', of: 'first' },
  { id: '29n', when: 'between block and dead letter', method: 'block', side: 'after', of: 'first' },
  { id: '29o', when: 'before it parks', method: 'enter', side: 'before', of: 'second' },
  { id: '29p', when: 'between parking and acknowledgement', method: 'enter', side: 'after', of: 'second' },
  { id: '29q', when: 'between the mark of the head and the advance', method: 'complete', side: 'after', of: 'first' },
  { id: '29r', when: 'between the advance and the publish of the next', method: 'advance', side: 'after', of: 'first' },
  { id: '29s', when: 'between that publish and its note', method: 'sent', side: 'before', of: 'second' },
  {
    id: '29t',
    when: 'between the note and the acknowledgement of the head',
    method: 'sent',
    side: 'after',
    of: 'second',
  },
]

interface Victim {
  readonly dead: boolean
}

export const cases: readonly Case[] = POINTS.map((point) => ({
  id: point.id,
  title: `a consumer that dies ${point.when}: each key in order, nothing lost, nothing twice`,
  tier: 'fault',
  settles: true,
  limitMs: { quick: 180_000, medium: 180_000 },
  needs: all(ordering, browsing, ({ plain, faults: { crash } }) =>
    plain.processes || crash
      ? undefined
      : 'nothing to kill: the adapter declares no processes, and the harness cannot crash it',
  ),
  run: (env) => run(env, point),
}))

async function run(env: Env, point: Point): Promise<void> {
  const shop = await open(env)
  const items = Array.from({ length: 4 }, () => env.item('ann'))
  // While the victim lives nothing else runs: between an effect and its mark a claim store has a gap.
  const other = env.item('bob')
  const [first, second] = items as [Item, Item]
  const draining = point.method === 'complete' || point.method === 'advance' || point.method === 'sent'
  const refused = draining ? undefined : first.id
  let refusing = true
  const others = draining ? await shop.member(({ id }) => reject(refusing && id === first.id), 'before') : undefined
  const join = async (): Promise<void> => {
    await shop.member(({ id }) => reject(refusing && id === first.id), 'after')
  }

  if (draining) {
    await shop.publish(...items)
    await shop.dead(first)
    await shop.waiting(3)
    refusing = false
    await others?.close()
  }
  const victim = await die(env, shop, point, { first, second }, refused)
  let replayed = 0
  const replay = async (): Promise<void> => void (replayed += (await shop.letters.replay({})).done)
  if (draining) await replay()
  else await shop.publish(...items)
  await env.waitFor(() => victim.dead, 'the victim to die', env.timing.patienceMs + 2 * env.timing.leaseMs)
  await shop.publish(other)
  await join()
  if (!draining) {
    await shop.dead(first)
    await shop.waiting(3)
    refusing = false
    await replay()
  }
  await shop.inOrder(...items, other)
  // A kill between the halves of a move leaves two dead letters with one id, and both were replayed. The second one, maybe still
  // on a rung of a ladder, is a duplicate: nobody goes before it has come.
  const duplicates = (): number => env.events.filter(({ kind }) => kind === 'duplicate').length
  await env.waitFor(
    () => duplicates() >= replayed - 1,
    () => `${replayed} replayed copies to come; duplicates: ${duplicates()}`,
    LONG_MS + 2 * env.timing.leaseMs,
  )
}

const reject = (fails: boolean): unknown => (fails ? Promise.reject(new Error('refused')) : undefined)

/** A process that is killed; where the broker lives in this one, a bus whose adapter and store are cut off for good. */
async function die(
  env: Env,
  shop: Shop,
  point: Point,
  { first, second }: { first: Item; second: Item },
  refused: string | undefined,
): Promise<Victim> {
  const subject = (point.of === 'first' ? first : second).id
  const victim = { dead: false }
  const hits = (method: string, side: Point['side'], args: readonly unknown[]): boolean =>
    method === point.method && side === point.side && args.some((arg) => String(arg).endsWith(`:${subject}`))
  const call = async (kill: () => unknown, method: string, args: readonly unknown[]): Promise<unknown> => {
    if (victim.dead) return new Promise<never>(() => {})
    const result = hits(method, 'before', args) ? undefined : await invoke(shop.store, method, args)
    if (!hits(method, 'before', args) && !hits(method, 'after', args)) return result
    victim.dead = true
    await kill()
    return new Promise<never>(() => {})
  }

  const { crash } = env.faults
  if (!env.plain.processes && crash) {
    const adapter = env.open()
    const bus = await env.bus({ adapter })
    const store = remoteStore((method, args) => call(() => crash(adapter), method, args))
    await bus.start(
      env.consumer(shop.flow, 'work', {
        ...IN_ORDER,
        idempotency: store,
        label: 'victim',
        handler: ({ id }) => reject(id === refused),
      }),
    )
    return victim
  }
  const role = { role: 'consume', concurrency: 8, stuckAfter: Number.MAX_SAFE_INTEGER, inOrder: true } as const
  const child: { kill?: () => Promise<unknown> } = {}
  const answer: AnswerStore = (method, args) => call(() => child.kill?.(), method, args)
  const started = await startChild(
    env,
    shop.flow,
    'victim',
    { ...role, ...(refused !== undefined && { refused }) },
    1000,
    answer,
  )
  child.kill = () => started.kill('SIGKILL')
  return victim
}

const invoke = async (store: TestStore, method: string, args: readonly unknown[]): Promise<unknown> => {
  const owner = method in store.parking ? store.parking : store
  return (owner as unknown as Record<string, (...args: readonly unknown[]) => unknown>)[method]?.(...args)
}
