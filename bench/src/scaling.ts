// Messages a second against the number of consumer processes and of lanes. The processes join and share the lanes while a few messages come,
// then they pause, the channel is filled, and all go on at one time.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bus } from 'polybus'
import type { KindName } from './brokers/index.ts'
import { GROUP, inFlight, within } from './brokers/raw.ts'
import { open, WIDTH } from './contenders.ts'
import { median } from './measure.ts'
import { pairedRatio, type Ratio } from './paired.ts'
import { programOf } from './program.ts'
import { purchasesOf } from './purchases.ts'
import { alternating, freshNames } from './rounds.ts'
import { FIRST_PROBE, type Handled, laned, type Lanes, type Order, type Task, type Told } from './scaling-task.ts'
import { shown, type Stage } from './stage.ts'
import { messagesOf } from './throughput.ts'
import { LIMIT_MS } from './trial.ts'

export interface ScalingRow {
  readonly lanes: Lanes
  readonly processes: number
  /** Messages a second. */
  readonly median: number
  readonly lowest: number
  readonly highest: number
  /** Of the messages, what the busiest process handled: a median. */
  readonly busiest: number
  /** How many were handled more than once, in all rounds: allowed, and told. */
  readonly again: number
  /** To one process with the same lanes. */
  readonly ratio: Ratio | undefined
}
export interface Scaling {
  readonly bytes: number
  readonly messages: number
  readonly rows: readonly ScalingRow[]
}

const PROCESSES = [1, 2]
/** FIFO queues of SQS have a lane for each key, and no number to choose. */
const lanesOf = (broker: KindName): readonly Lanes[] => (broker === 'sqs' ? ['no key', 'keyed'] : ['no key', 1, 4, 8])

/**
 * Whether the processes pause while the channel is filled. Two on a FIFO queue that paused and went on stood still for half a minute, and
 * handled a third of the messages twice: their time counts from the first publish, and they run all the while.
 */
const isHeld = (broker: KindName): boolean => broker !== 'sqs'

/** Sent at a time while the processes share out the lanes. */
const PROBES = 100
/** They have, when with several lanes nobody handles more of a wave than this. */
const MOST_OF_A_WAVE = 0.75

const LOOK_MS = 5

interface Config {
  readonly lanes: Lanes
  readonly processes: number
  readonly channel: string
}
interface Run {
  readonly perSecond: number
  readonly busiest: number
  readonly again: number
}

export async function scaling(stage: Stage): Promise<Scaling> {
  const { broker, url, rounds, sizes } = stage
  const [bytes] = sizes
  const messages = messagesOf(stage, bytes)
  const fresh = freshNames()
  // Each run empties its channel, so that the next one can have it.
  const configs = lanesOf(broker).flatMap((lanes) => {
    const channel = fresh()
    return PROCESSES.map((processes): Config => ({ lanes, processes, channel }))
  })
  const bus = await open(url)
  try {
    for (const { channel, lanes } of configs) await bus.prepare(laned(channel, lanes))
    const results = await alternating(stage, configs, (config, round) => {
      const title = `${broker}, round ${round} of ${rounds}: ${config.processes} processes, lanes: ${config.lanes}`
      shown(stage, title)
      return measured(bus, { url, ...config }, config.processes, bytes, messages, isHeld(broker)).catch(
        (cause: unknown) => {
          throw new Error(`${title}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
        },
      )
    })
    shown(stage, '')
    return { bytes, messages, rows: rowsOf(configs, results) }
  } finally {
    await bus.close()
  }
}

export function rowsOf(
  configs: readonly Config[],
  results: ReadonlyMap<Config, readonly Run[]>,
): readonly ScalingRow[] {
  const rates = (config: Config): readonly number[] => (results.get(config) ?? []).map(({ perSecond }) => perSecond)
  return configs.map((config) => {
    const { lanes, processes } = config
    const one = configs.find((other) => other.lanes === lanes && other.processes === 1)
    return {
      lanes,
      processes,
      median: median(rates(config)),
      lowest: Math.min(...rates(config)),
      highest: Math.max(...rates(config)),
      busiest: median((results.get(config) ?? []).map(({ busiest }) => busiest)),
      again: total((results.get(config) ?? []).map(({ again }) => again)),
      ratio: one && one !== config ? pairedRatio(rates(config), rates(one)) : undefined,
    }
  })
}

async function measured(
  bus: Bus,
  task: Task,
  processes: number,
  bytes: number,
  messages: number,
  held: boolean,
): Promise<Run> {
  const orders = laned(task.channel, task.lanes)
  const make = purchasesOf(bytes)
  const send = (from: number, count: number): Promise<void> =>
    inFlight(from, from + count, WIDTH, (index) => bus.publish(orders, make(index)))
  const members = Array.from({ length: processes }, () => startMember(task))
  const each = (what: keyof Handled): readonly number[] => members.map(({ handled }) => handled()[what])
  try {
    await within(LIMIT_MS, 'joining', Promise.all(members.map(({ ready }) => ready)))
    for (let shares: readonly number[] | undefined; !shares || !isShared(shares, task.lanes);) {
      const before = each('probes')
      await send(FIRST_PROBE, PROBES)
      await until(members, () => total(each('probes')) >= total(before) + PROBES)
      shares = each('probes').map((count, index) => count - (before[index] ?? 0))
    }
    if (held) await within(LIMIT_MS, 'pausing', Promise.all(members.map(({ hold }) => hold())))
    const [sending, sent] = [timeOfDay(), await send(0, messages).then(timeOfDay)]
    const from = held ? sent : sending
    if (held) for (const { order } of members) order('go')
    await until(members, () => total(each('messages')) >= messages)
    // One that came twice may stand for one that is still there.
    await emptied(bus, orders)
    const to = Math.max(...each('at'))
    await within(LIMIT_MS, 'closing', Promise.all(members.map(({ end }) => end())))
    const handled = each('messages')
    return {
      perSecond: (messages / (to - from)) * 1000,
      busiest: Math.max(...handled) / total(handled),
      again: total(handled) - messages,
    }
  } finally {
    for (const { kill } of members) kill()
  }
}

const timeOfDay = (): number => performance.timeOrigin + performance.now()
const total = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0)

async function emptied(bus: Bus, orders: ReturnType<typeof laned>): Promise<void> {
  for (const end = performance.now() + LIMIT_MS; ;) {
    const { backlog, inFlight: running } = await bus.stats(orders, GROUP)
    if ((backlog ?? 0) + (running ?? 0) === 0) return
    if (performance.now() > end) throw new Error(`the group has ${backlog} unfinished messages`)
    await sleep(LOOK_MS)
  }
}

/** One lane is one process's, and whoever asks first takes what has no key. */
export function isShared(wave: readonly number[], lanes: Lanes): boolean {
  if (wave.length === 1 || lanes === 1 || lanes === 'no key') return true
  return Math.max(...wave) <= total(wave) * MOST_OF_A_WAVE
}

interface Member {
  readonly ready: Promise<void>
  handled(): Handled
  order(order: Order): void
  /** No more messages; those under way are done with. */
  hold(): Promise<void>
  end(): Promise<void>
  kill(): void
  /** Why it has ended, where nobody asked it to. */
  failure(): Error | undefined
}

function startMember(task: Task): Member {
  const child: ChildProcess = fork(programOf('scaling-child'), [JSON.stringify(task)], { execArgv: [] })
  let handled: Handled = { probes: 0, messages: 0, at: 0 }
  child.on('message', (told: Told) => {
    if (told.kind === 'handled') handled = told
  })
  let asked = false
  let failure: Error | undefined
  const exit = once(child, 'exit').then(([code]: readonly unknown[]) => {
    if (!asked || code !== 0) failure = new Error(`a consumer process ended with ${String(code)}`)
  })
  const heard = async (kind: Told['kind']): Promise<void> => {
    for (let told: Told | undefined; told?.kind !== kind;) {
      const [next] = (await Promise.race([once(child, 'message'), exit.then(() => [])])) as [Told?]
      if (!next) throw failure ?? new Error('a consumer process ended')
      told = next
    }
  }
  const ready = heard('ready')
  // Whoever waits for it hears of it.
  ready.catch(() => undefined)
  return {
    ready,
    handled: () => handled,
    order: (order) => void child.send(order),
    hold() {
      child.send('hold' satisfies Order)
      return heard('held')
    },
    async end() {
      asked = true
      child.send('end' satisfies Order)
      await exit
      if (failure) throw failure
    },
    kill: () => void (child.exitCode === null && child.kill('SIGKILL')),
    failure: () => failure,
  }
}

/** When the last message was handled the processes themselves say. */
async function until(members: readonly Member[], holds: () => boolean): Promise<void> {
  for (const end = performance.now() + LIMIT_MS; !holds();) {
    const failure = members.map((member) => member.failure()).find((error) => error !== undefined)
    if (failure) throw failure
    if (performance.now() > end) throw new Error(`not all were handled within ${LIMIT_MS / 1000} s`)
    await sleep(LOOK_MS)
  }
}
