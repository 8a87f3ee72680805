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

type Put = PolybusError | undefined

/** Puts one message everywhere it has to be. Undefined: confirmed. */
export async function put(...call: Parameters<typeof putEach>): Promise<Put> {
  return (await putEach(...call)).find((error) => error !== undefined)
}

/** An answer for each of the routes. */
async function putEach(
  session: Session,
  layout: Layout,
  to: Destination,
  routes: readonly Route[],
  native: Native,
  call: Call,
): Promise<readonly Put[]> {
  const { link, mayCreate } = session
  const { blocked } = link
  if (blocked !== undefined) return routes.map(() => alarm(blocked))
  const publisher = to.kind === 'channel' ? session.publishes : session.moves
  const declared = to.kind !== 'channel' || layout.groups.length > 0
  const returned =
    ({ exchange, routingKey }: Route) =>
    (): PolybusError =>
      declared && (layout.own || exchange === '')
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
  return errors
}

/**
 * The exchange's answer was no: one of its queues is full. Sent again whole, the others would get it once more each time, so
 * each group is asked by itself, and those that refuse are what is missing. Undefined: it was none of these.
 */
async function fullGroups(
  session: Session,
  layout: Layout,
  { to, message }: Outgoing,
  native: Native,
  call: Call,
): Promise<Receipt | undefined> {
  const { groups } = layout
  if (!layout.own || groups.length < 2) return undefined
  const routes = routesOf(layout, to, message.key ?? message.id, message.type, groups)
  const receipt = receiptOf(groups, await putEach(session, layout, to, routes, native, call))
  return receipt.missing ? receipt : undefined
}

function receiptOf(groups: readonly string[], puts: readonly Put[]): Receipt {
  const missing = groups.flatMap((group, index) => {
    const error = puts[index]
    return error ? [{ group, error }] : []
  })
  return missing.length === 0 ? {} : { missing }
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
  const one = async (outgoing: Outgoing, index: number): Promise<void> => {
    const { message, to, groups, priority } = outgoing
    try {
      const layout = await session.layout(to.channel, call)
      const routes = routesOf(layout, to, message.key ?? message.id, message.type, groups)
      const native = toNative(message, routes[0]?.lane, priority)
      const bare = to.kind === 'channel' && layout.options.envelope === 'none'
      const written = bare ? bareOf(native) : native
      const puts = await putEach(session, layout, to, routes, written, call)
      const error = puts.find((one) => one !== undefined)
      if (error) results[index] = { ok: false, error }
      if (groups && error && puts.includes(undefined)) results[index] = { ok: true, value: receiptOf(groups, puts) }
      if (error?.code === 'BROKER_BUSY' && error.sent === 'unknown' && to.kind === 'channel' && !groups) {
        const value = await fullGroups(session, layout, outgoing, written, call)
        if (value) results[index] = { ok: true, value }
      }
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
    const unverified = new Map<string, PolybusError>()
    for (const [layout, lanes] of touched)
      try {
        receipts.set(layout.channel, await session.verify(layout, lanes, call))
      } catch (error) {
        unverified.set(layout.channel, notVerified(layout, asError(error)))
      }
    for (let index = 0; index < batch.length; index++) {
      const channel = batch[index]?.to.channel ?? ''
      const error = unverified.get(channel)
      results[index] ??= error ? { ok: false, error } : { ok: true, value: receipts.get(channel) ?? {} }
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

/** The exchange has confirmed it: some queue has it. */
const notVerified = ({ channel }: Layout, cause: PolybusError): PolybusError =>
  new PolybusError(
    cause.code,
    `RabbitMQ has the message, but whether every group of channel '${channel}' got it cannot be told: ${cause.message}`,
    { cause, retryable: cause.retryable, sent: 'unknown' },
  )
