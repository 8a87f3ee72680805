import {
  type Call,
  type Destination,
  LADDER_MS,
  type Outgoing,
  PolybusError,
  type Receipt,
  type Result,
  type WireMessage,
} from '@polybus/core'
import { priorityInLine } from './capabilities.ts'
import { aborted, alarm, missing } from './errors.ts'
import type { Layout } from './layout.ts'
import { bareOf, type Native, partitionOf, toNative } from './mapping.ts'
import type { Expected } from './publisher.ts'
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

/** Undefined: confirmed. */
type Answer = PolybusError | undefined

interface Placing {
  readonly session: Session
  readonly layout: Layout
  readonly to: Destination
  readonly routes: readonly Route[]
  readonly native: Native
  readonly call: Call
  readonly expected?: Expected | undefined
}

/** Puts one message everywhere it has to be. */
export const put = (placing: Placing): Promise<Answer> =>
  new Promise((resolve) => putEach(placing, (answers) => resolve(answers.find((error) => error !== undefined))))

/** An answer for each of the routes. Thousands a second go here: without a promise each. */
function putEach(
  { session, layout, to, routes, native, call, expected }: Placing,
  tell: (answers: readonly Answer[]) => void,
): void {
  const { link, mayCreate } = session
  const { blocked } = link
  if (blocked !== undefined) return tell(routes.map(() => alarm(blocked)))
  if (routes.length === 0) return tell([])
  const publisher = to.kind === 'channel' ? session.publishes(layout.channel) : session.moves
  const written = inLine(to) ? withPriority(native, (priority) => priorityInLine(priority, link.version)) : native
  const answers: Answer[] = routes.map(() => undefined)
  let left = routes.length
  const answered = (index: number, error: Answer): void => {
    answers[index] = error
    if (--left > 0) return
    // Its queue is looked for at the start, and then by nobody: somebody deleted it meanwhile.
    if (error?.code === 'TOPOLOGY_MISSING' && to.kind !== 'channel' && mayCreate)
      session.restore(layout, [to.group], call).then(
        () => tell(answers),
        (failure: unknown) => tell([asError(failure)]),
      )
    else tell(answers)
  }
  for (let index = 0; index < routes.length; index++) {
    const { exchange, routingKey } = routes[index] as Route
    publisher.publish({
      exchange,
      routingKey,
      native: written,
      expected,
      returned: () => unwanted(layout, to, exchange, routingKey, mayCreate),
      answer: (error) => answered(index, error),
    })
  }
}

/** No queue took it. */
function unwanted(
  { groups, own }: Layout,
  to: Destination,
  exchange: string,
  routingKey: string,
  mayCreate: boolean,
): PolybusError {
  const declared = to.kind !== 'channel' || groups.length > 0
  if (!declared || !(own || exchange === '')) return new PolybusError('UNROUTABLE', undefined, { sent: 'no' })
  const what = exchange === '' ? `queue '${routingKey}'` : `queue bound to '${exchange}' for '${routingKey}'`
  return missing(what, mayCreate)
}

/**
 * The exchange's answer was no: one of its queues is full. Sent again whole, the others would get it once more each time, so
 * each group is asked by itself, and those that refuse are what is missing. Undefined: it was none of these.
 */
async function fullGroups(placing: Placing, message: WireMessage): Promise<Receipt | undefined> {
  const { layout, to } = placing
  const { groups } = layout
  if (!layout.own || groups.length < 2) return undefined
  const routes = routesOf(layout, to, message.key ?? message.id, message.type, groups)
  const answers = await new Promise<readonly Answer[]>((resolve) => putEach({ ...placing, routes }, resolve))
  const receipt = receiptOf(groups, answers)
  return receipt.missing ? receipt : undefined
}

function receiptOf(groups: readonly string[], answers: readonly Answer[]): Receipt {
  const missing = groups.flatMap((group, index) => {
    const error = answers[index]
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
  /** By channel: which lanes are written to, and the queues of the declared groups there. */
  const touched = new Map<Layout, Map<number, Expected>>()
  const receipts = new Map<string, Receipt>()
  const unverified = new Map<string, PolybusError>()
  let checking: Promise<unknown> | undefined
  /**
   * A confirm proves one queue. That the others are there is asked before the batch ({@link Expected}); that they are bound
   * now and then, beside a batch.
   */
  const check = (): void => {
    checking = Promise.all(
      [...touched].map(([layout, lanes]) =>
        session.verify(layout, [...lanes.keys()]).then(
          (receipt) => void receipts.set(layout.channel, receipt),
          (error: unknown) => void unverified.set(layout.channel, notVerified(layout, asError(error))),
        ),
      ),
    )
  }
  const expectedIn = (layout: Layout, message: WireMessage): Expected => {
    const lane = layout.laned ? partitionOf(message.key ?? message.id, layout.partitions) : 0
    let lanes = touched.get(layout)
    if (!lanes) touched.set(layout, (lanes = new Map<number, Expected>()))
    let found = lanes.get(lane)
    if (!found) lanes.set(lane, (found = { queues: layout.groups.map((group) => layout.queue(group, lane)) }))
    return found
  }
  const place = (outgoing: Outgoing, index: number, layout: Layout, ended: () => void): void => {
    const { message, to, groups, priority } = outgoing
    const routes = routesOf(layout, to, message.key ?? message.id, message.type, groups)
    const native = toNative(message, routes[0]?.lane, priority)
    const bare = to.kind === 'channel' && layout.options.envelope === 'none'
    const declared = to.kind === 'channel' && !groups && layout.groups.length > 0
    // Else nothing is written.
    const expected = declared && session.link.blocked === undefined ? expectedIn(layout, message) : undefined
    const placing = { session, layout, to, routes, native: bare ? bareOf(native) : native, call, expected }
    putEach(placing, (answers) => {
      const error = answers.find((one) => one !== undefined)
      if (error)
        return void refused(outgoing, index, placing, answers, error)
          .catch((failure: unknown) => (results[index] = { ok: false, error: asError(failure) }))
          .finally(ended)
      if (!declared) results[index] = { ok: true, value: {} }
      ended()
    })
  }
  const refused = async (
    { message, to, groups }: Outgoing,
    index: number,
    placing: Placing,
    answers: readonly Answer[],
    error: PolybusError,
  ): Promise<void> => {
    results[index] = { ok: false, error }
    if (groups && answers.includes(undefined)) results[index] = { ok: true, value: receiptOf(groups, answers) }
    if (error.code === 'BROKER_BUSY' && error.sent === 'unknown' && to.kind === 'channel' && !groups) {
      const value = await fullGroups(placing, message)
      if (value) results[index] = { ok: true, value }
    }
    if (error.code === 'TOPOLOGY_MISSING' && to.kind === 'channel') session.doubt(placing.layout)
  }
  const one = (outgoing: Outgoing, index: number, written: () => void, ended: () => void): void => {
    const failed = (error: unknown): void => {
      results[index] = { ok: false, error: asError(error) }
      ended()
      written()
    }
    const placed = (layout: Layout): void => {
      try {
        place(outgoing, index, layout, ended)
      } catch (error) {
        return failed(error)
      }
      written()
    }
    const { kind, channel } = outgoing.to
    const layout = kind === 'channel' ? session.target(channel, call) : session.layout(channel, call)
    if (layout instanceof Promise) layout.then(placed, failed)
    else placed(layout)
  }
  const all = new Promise<void>((resolve) => {
    let left = batch.length
    let unwritten = batch.length
    const ended = (): void => {
      if (--left === 0) resolve()
    }
    const written = (): void => {
      if (--unwritten === 0) check()
    }
    if (left === 0) resolve()
    for (const [index, outgoing] of batch.entries()) one(outgoing, index, written, ended)
  })
  const work = all.then(async () => {
    await checking
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
