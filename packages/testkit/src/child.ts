// A member in a process of its own, to be killed. It tells its parent everything over IPC, and starts with what stands in
// its arguments.
import {
  channel,
  type ClaimStore,
  consumer,
  createBus,
  type Feed,
  fixed,
  sleep,
  systemClock,
  trust,
} from '@polybus/core'
import { loadHarness } from './harness.ts'
import type { ChildTask, FromChild, ToChild } from './child-protocol.ts'
import { remoteStore } from './remote-store.ts'
import { tap } from './tap.ts'

// Whoever was to kill it is gone.
process.on('disconnect', () => process.exit(1))

const tell = (text: FromChild): void => void process.send?.(text)

async function main(task: ChildTask): Promise<void> {
  const harness = await loadHarness(task.harness)
  const flow = channel(task.channel, {
    schema: trust<{ id: string; n: number; key?: string }>(),
    groups: task.groups,
    key: task.keyed ? (item) => item.key : undefined,
    partitions: task.partitions,
  })
  await harness.prepare?.(task.namespace)
  let feed: Feed | undefined
  const adapter = tap(harness.open(task.namespace, { without: task.without }), {
    subscribed: (_, made) => void (feed = made),
  })
  const bus = await createBus(adapter, { namespace: task.namespace, logger: false, grace: `${task.graceMs}ms` })
  process.once('SIGTERM', () => {
    bus
      .close()
      .then(() => process.exit(0))
      .catch(() => process.exit(1))
  })

  if (task.role === 'publish') {
    tell({ kind: 'ready' })
    const items = Array.from({ length: task.count }, (_, n) => ({ id: `${task.prefix}-${n}`, n, key: `k${n % 10}` }))
    await Promise.allSettled(
      items.map(async (item) => {
        tell({ kind: 'publishing', id: item.id, key: task.keyed ? item.key : undefined })
        await bus.publish(flow, item, { id: item.id })
        tell({ kind: 'resolved', id: item.id })
      }),
    )
    return
  }

  const recorded = new Map<number, () => void>()
  const answers = new Map<number, (result: unknown) => void>()
  process.on('message', (said: ToChild) => {
    if ('run' in said) recorded.get(said.run)?.()
    else answers.get(said.call)?.(said.result)
  })
  let runs = 0
  await bus.start(
    consumer(flow, task.groups[0] ?? 'work', {
      concurrency: task.concurrency,
      // Short ones: all of them together stay within what any broker lets a delivery be held.
      ...(task.attempts !== undefined && {
        retry: { attempts: task.attempts, backoff: fixed('10ms') },
        timeout: '5s',
      }),
      ...(task.inOrder && { deadLetter: 'in-order', idempotency: storeOfParent(answers), retry: false }),
      async handler(item, { message, attempt }) {
        const run = ++runs
        tell({ kind: 'started', run, id: message.id, attempt })
        if (item.id === task.killer) process.kill(process.pid, 'SIGKILL')
        // The victim of a kill gets stuck after some messages, so that it dies in the middle of handlers.
        if (run > task.stuckAfter) await new Promise<never>(() => {})
        const done = new Promise<void>((resolve) => recorded.set(run, resolve))
        const refused = item.id === task.refused
        tell(refused ? { kind: 'refused', run } : { kind: 'succeeded', run, id: item.id })
        // Settled only when the parent knows of it: a kill may not lose what the ledger needs.
        await done
        if (refused) throw new Error('refused')
      },
    }),
  )
  tell({ kind: 'ready' })
  await tellLanes(() => feed?.state().lanes ?? null)
}

function storeOfParent(answers: Map<number, (result: unknown) => void>): ClaimStore {
  let calls = 0
  return remoteStore(
    (method, args) =>
      new Promise((resolve) => {
        const call = ++calls
        answers.set(call, (result) => {
          answers.delete(call)
          resolve(result)
        })
        tell({ kind: 'store', call, method, args })
      }),
  )
}

const LOOK_MS = 50

/** For as long as the process lives. */
async function tellLanes(read: () => readonly string[] | null): Promise<never> {
  const clock = systemClock()
  let last: string | undefined
  for (;;) {
    const lanes = read()
    const text = JSON.stringify(lanes)
    if (text !== last) tell({ kind: 'lanes', lanes })
    last = text
    await sleep(clock, LOOK_MS)
  }
}

await main(JSON.parse(process.argv[2] ?? '{}') as ChildTask)
