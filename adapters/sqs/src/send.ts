// Fan-out by hand: one entry for each group's queue, in batches, with a result of its own.
import { SendMessageBatchCommand, type SendMessageBatchRequestEntry } from '@aws-sdk/client-sqs'
import { type Call, type Outgoing, PolybusError, type Receipt, type Result } from '@polybus/core'
import { MAX_DELAY_MS } from './capabilities.ts'
import { chunksOf, each } from './chunks.ts'
import { entryFailed, failed, unsupported } from './errors.ts'
import { CONNECTION } from './connection.ts'
import type { Layout, Queue } from './layout.ts'
import { bytesOf, type Content, toEntry } from './mapping.ts'
import { groupIdOf } from './names.ts'
import type { Session } from './session.ts'

/** One copy on its way to one queue. */
export interface Copy {
  readonly content: Content
  /** Standard queues alone. */
  readonly delayMs: number
  /** FIFO queues alone: what keeps its order, and what SQS deduplicates by for five minutes. */
  readonly groupId: string
  readonly dedupId: string
  /** Of something that SQS holds already: its size is the broker's business. */
  readonly moved: boolean
}

/** Where the copy of a message is; the error says whether it can be there. */
export type Put = Result<string | undefined>

/** Calls under way at once, for one `send`. */
const WIDTH = 20

/** To one queue; a result for each. */
export async function putAll(
  { link, gone }: Session,
  queue: Queue,
  fifo: boolean,
  copies: readonly Copy[],
  call: Call,
): Promise<readonly Put[]> {
  const results: Put[] = []
  const { maxMessageBytes } = link.settings
  const situation = { what: `queue '${queue.name}'` }
  const entries: { readonly index: number; readonly bytes: number; readonly entry: SendMessageBatchRequestEntry }[] = []
  for (const [index, { content, delayMs, groupId, dedupId, moved }] of copies.entries()) {
    const bytes = bytesOf(content)
    // One that is too large would fail the whole call, and good ones with it.
    if (bytes > maxMessageBytes && !moved) results[index] = { ok: false, error: tooLarge(bytes, maxMessageBytes) }
    else if (fifo && delayMs > 0)
      results[index] = { ok: false, error: unsupported('A FIFO queue of SQS takes no delay for a single message.') }
    else
      entries.push({
        index,
        bytes,
        entry: {
          Id: String(index),
          ...content,
          ...(fifo
            ? { MessageGroupId: groupId, MessageDeduplicationId: dedupId }
            : delayMs > 0 && { DelaySeconds: Math.ceil(Math.min(delayMs, MAX_DELAY_MS) / 1000) }),
        },
      })
  }
  const refuse = (list: typeof entries, error: PolybusError): void => {
    const cause = PolybusError.is(error, 'TOPOLOGY_MISSING') ? gone(queue, error) : error
    for (const { index } of list) results[index] = { ok: false, error: cause }
  }
  if (entries.length === 0) return results
  let QueueUrl: string
  try {
    QueueUrl = await link.url(queue, call)
  } catch (error) {
    // Nothing of a message has left.
    refuse(entries, certain(failed(error, 'no')))
    return results
  }
  const sendChunk = async (chunk: typeof entries): Promise<void> => {
    try {
      const { Successful = [], Failed = [] } = await link.ask(
        'send',
        (client, abortSignal) =>
          client.send(new SendMessageBatchCommand({ QueueUrl, Entries: chunk.map(({ entry }) => entry) }), {
            abortSignal,
          }),
        call,
        { situation },
      )
      for (const { Id, MessageId } of Successful) results[Number(Id)] = { ok: true, value: MessageId }
      for (const entry of Failed) results[Number(entry.Id)] = { ok: false, error: entryFailed(entry, situation) }
    } catch (error) {
      const cause = failed(error)
      // The queue takes less than we were told: what is not too large by itself goes without its neighbours.
      if (PolybusError.is(cause, 'MESSAGE_TOO_LARGE') && chunk.length > 1) {
        const half = Math.ceil(chunk.length / 2)
        await sendChunk(chunk.slice(0, half))
        return sendChunk(chunk.slice(half))
      }
      refuse(chunk, cause)
    }
  }
  await each(
    chunksOf(entries, ({ bytes }) => bytes, maxMessageBytes),
    WIDTH,
    sendChunk,
  )
  return copies.map((_, index) => results[index] ?? { ok: false, error: new PolybusError('PUBLISH_UNCERTAIN') })
}

const tooLarge = (bytes: number, limit: number): PolybusError =>
  new PolybusError(
    'MESSAGE_TOO_LARGE',
    `The message has ${bytes} bytes as SQS counts them, attributes included, and ${limit} is the limit (sqs().maxMessageBytes). Publish a reference to the data.`,
    { sent: 'no' },
  )

const certain = (error: PolybusError): PolybusError =>
  error.sent === 'no'
    ? error
    : new PolybusError(error.code, error.message, { cause: error, retryable: error.retryable, sent: 'no' })

interface Leg {
  readonly index: number
  readonly group: string
  readonly copy: Copy
}

export async function sendAll(
  session: Session,
  batch: readonly Outgoing[],
  call: Call,
): Promise<readonly Result<Receipt>[]> {
  const refused = new Map<number, PolybusError>()
  const routes = new Map<string, { readonly layout: Layout; readonly queue: Queue; readonly legs: Leg[] }>()
  for (const [index, outgoing] of batch.entries()) {
    try {
      const layout = session.layout(outgoing.to.channel)
      for (const { group, queue } of await targetsOf(session, layout, outgoing, call)) {
        const place = queue.url ?? queue.name
        let route = routes.get(place)
        if (!route) routes.set(place, (route = { layout, queue, legs: [] }))
        route.legs.push({ index, group, copy: copyOf(session, layout, outgoing) })
      }
    } catch (error) {
      refused.set(index, certain(failed(error, 'no')))
    }
  }
  const done = batch.map((): { readonly group: string; readonly put: Put }[] => [])
  await Promise.all(
    [...routes.values()].map(async ({ layout, queue, legs }) => {
      const puts = await putAll(
        session,
        queue,
        layout.keyed,
        legs.map(({ copy }) => copy),
        call,
      )
      for (const [at, { index, group }] of legs.entries()) done[index]?.push({ group, put: puts[at] as Put })
    }),
  )
  const results = done.map((puts, index): Result<Receipt> => {
    const error = refused.get(index)
    return error ? { ok: false, error } : receiptOf(puts)
  })
  const errors = results.flatMap((result) => (result.ok ? [] : [result.error]))
  // Nobody answered, or knew us, for any of them: that is the connection's failure.
  if (errors.length === results.length && errors.every(({ code }) => CONNECTION.has(code))) {
    const worst = errors.find(({ sent }) => sent === 'unknown') ?? errors[0]
    if (worst) throw worst
  }
  return results
}

/** The groups that have it, and the others with why not. None at all: the worst of the errors. */
function receiptOf(puts: readonly { readonly group: string; readonly put: Put }[]): Result<Receipt> {
  const errors: { group: string; error: PolybusError }[] = []
  let position: string | undefined
  for (const { group, put } of puts)
    if (put.ok) position ??= put.value
    else errors.push({ group, error: put.error })
  if (errors.length < puts.length)
    return {
      ok: true,
      value: { ...(position !== undefined && { position }), ...(errors.length > 0 && { missing: errors }) },
    }
  const list = errors.map(({ error }) => error)
  const worst = list.find(({ sent }) => sent === 'unknown') ?? list.find(({ retryable }) => !retryable) ?? list[0]
  return { ok: false, error: worst ?? new PolybusError('PUBLISH_UNCERTAIN') }
}

async function targetsOf(
  session: Session,
  layout: Layout,
  { to, groups }: Outgoing,
  call: Call,
): Promise<readonly { readonly group: string; readonly queue: Queue }[]> {
  if (to.kind === 'dead-letter') return [{ group: to.group, queue: layout.dead(to.group) }]
  const all = to.kind === 'group' ? [to.group] : (groups ?? (await session.groups(layout, call)))
  return all.map((group) => ({ group, queue: layout.queue(group) }))
}

function copyOf({ instance, nextOrder }: Session, layout: Layout, { handover, message, to }: Outgoing): Copy {
  // New for each hand-over: SQS would drop a replay that has the id of the original.
  const dedupId = `${instance}-${handover}`
  return {
    content: toEntry(message, layout.options, to.kind === 'dead-letter' ? nextOrder() : undefined),
    delayMs: to.kind === 'group' ? to.delayMs : 0,
    // Dead letters, and what has no key, each in a group of its own: a look sees no more than ten of one.
    groupId: to.kind === 'dead-letter' || message.key === undefined ? dedupId : groupIdOf(message.key),
    dedupId,
    moved: false,
  }
}
