import {
  type Call,
  type Destination,
  LADDER_MS,
  type Outgoing,
  PolybusError,
  type Receipt,
  type Result,
} from '@polybus/core'
import { priorityInLine } from './capabilities.ts'
import { aborted, alarm, missing } from './errors.ts'
import type { Layout } from './layout.ts'
import { bareOf, type Native, partitionOf, toNative } from './mapping.ts'
import type { Session } from './session.ts'

export interface Route {
  readonly exchange: string
  readonly routingKey: string
  /** Set where a rung has to hand it to a lane. */
  readonly lane?: number
}

/** Where a message goes. */
export function routesOf(
  layout: Layout,
  to: Destination,
  key: string | undefined,
  type: string | undefined,
  groups?: readonly string[],
): readonly Route[] {
  const { laned, names, options } = layout
  const lane = laned ? partitionOf(key, layout.partitions) : 0
  const straight = (queue: string): Route => ({ exchange: '', routingKey: queue })
  if (to.kind === 'dead-letter') return [straight(layout.dead(to.group))]
  if (to.kind === 'group') {
    if (to.delayMs === 0) return [straight(layout.queue(to.group, lane))]
    if (!LADDER_MS.includes(to.delayMs))
      throw new PolybusError(
        'UNSUPPORTED',
        `RabbitMQ has no exact delays: ${to.delayMs} ms is none of the rungs 1 s, 10 s, 1 min and 10 min.`,
        { sent: 'no' },
      )
    return [{ ...straight(names.rung(to.group, to.delayMs)), ...(laned && { lane }) }]
  }
  if (groups) return groups.map((group) => straight(layout.queue(group, lane)))
  const wanted = options.routingKey ?? type ?? layout.channel
  const routingKey = laned ? String(lane) : Buffer.byteLength(wanted) <= 255 ? wanted : layout.channel
  return [{ exchange: layout.exchange, routingKey }]
}

/** A queue of ours where nothing may overtake. */
const inLine = (to: Destination): boolean => to.kind === 'dead-letter' || (to.kind === 'group' && to.delayMs > 0)

function withPriority({ content, options }: Native, change: (priority: number) => number): Native {
  const { priority } = options
  return priority === undefined
    ? { content, options }
    : { content, options: { ...options, priority: change(priority) } }
}

/** Puts one message everywhere it has to be. Undefined: confirmed. */
export async function put(
  session: Session,
  layout: Layout,
  to: Destination,
  routes: readonly Route[],
  native: Native,
  call: Call,
): Promise<PolybusError | undefined> {
  const { link, mayCreate } = session
  if (link.blocked !== undefined) return alarm(link.blocked)
  const publisher = to.kind === 'channel' ? session.publishes : session.moves
  const declared = to.kind !== 'channel' || layout.groups.length > 0
  const returned =
    ({ exchange, routingKey }: Route) =>
    (): PolybusError =>
      declared
        ? missing(
            exchange === '' ? `queue '${routingKey}'` : `queue bound to '${exchange}' for '${routingKey}'`,
            mayCreate,
          )
        : new PolybusError('UNROUTABLE', undefined, { sent: 'no' })
  const written = inLine(to) ? withPriority(native, (priority) => priorityInLine(priority, link.version)) : native
  const errors = await Promise.all(
    routes.map((route) => publisher.publish(route.exchange, route.routingKey, written, returned(route))),
  )
  const error = errors.find((one) => one !== undefined)
  // Its queue is looked for at the start, and then by nobody: somebody deleted it meanwhile.
  if (error?.code === 'TOPOLOGY_MISSING' && to.kind !== 'channel' && mayCreate)
    await session.restore(layout, [to.group], call)
  return error
}

export async function sendAll(
  session: Session,
  batch: readonly Outgoing[],
  call: Call,
): Promise<readonly Result<Receipt>[]> {
  const results: (Result<Receipt> | undefined)[] = batch.map(() => undefined)
  /** By channel: which lanes were written to. */
  const touched = new Map<Layout, Set<number>>()
  const unbound = new Set<Layout>()
  const one = async ({ message, to, groups, priority }: Outgoing, index: number): Promise<void> => {
    try {
      const layout = await session.layout(to.channel, call)
      const routes = routesOf(layout, to, message.key ?? message.id, message.type, groups)
      const native = toNative(message, routes[0]?.lane, priority)
      const bare = to.kind === 'channel' && layout.options.envelope === 'none'
      const error = await put(session, layout, to, routes, bare ? bareOf(native) : native, call)
      if (error) results[index] = { ok: false, error }
      if (error?.code === 'TOPOLOGY_MISSING' && to.kind === 'channel' && session.mayCreate) unbound.add(layout)
      else if (error) return
      else if (to.kind === 'channel' && !groups && layout.groups.length > 0) {
        const lanes = touched.get(layout) ?? new Set()
        touched.set(layout, lanes.add(layout.laned ? partitionOf(message.key ?? message.id, layout.partitions) : 0))
      } else results[index] = { ok: true, value: {} }
    } catch (error) {
      results[index] = { ok: false, error: asError(error) }
    }
  }
  const work = Promise.all(batch.map(one)).then(async () => {
    // A confirm proves one queue. That no declared group was missed is asked afterwards, once for the whole batch.
    const receipts = new Map<string, Receipt>()
    for (const layout of unbound) await session.restore(layout, layout.groups, call)
    for (const [layout, lanes] of touched) receipts.set(layout.channel, await session.verify(layout, lanes, call))
    for (let index = 0; index < batch.length; index++) {
      const channel = batch[index]?.to.channel ?? ''
      results[index] ??= { ok: true, value: receipts.get(channel) ?? {} }
    }
  })
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => resolve()
    if (call.signal.aborted) onAbort()
    call.signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => call.signal.removeEventListener('abort', onAbort))
  })
  return results.map((result) => result ?? { ok: false, error: aborted('unknown') })
}

const asError = (error: unknown): PolybusError =>
  PolybusError.is(error) ? error : new PolybusError('BROKER_REFUSED', String(error), { cause: error, sent: 'no' })
