// A queue has no cursor: a session takes what it shows, keeps it from others by renewing its leases, and gives it back at the end.
import { type Message, ReceiveMessageCommand } from '@aws-sdk/client-sqs'
import { type BrowseSession, type Call, PolybusError, type RawDeadLetter, type Result } from '@polybus/core'
import { MOST } from './chunks.ts'
import type { Link } from './connection.ts'
import { aborted, leaseLost } from './errors.ts'
import { createHeld, type Token } from './held.ts'
import { isFifo, type Layout } from './layout.ts'
import { ageOf, fromMessage } from './mapping.ts'
import { createHands } from './hands.ts'
import { unknownGroup } from './stats.ts'

/** What one look gathers and sorts, at most: so many messages, bytes, and so long. */
const GATHER = 1000
const GATHER_BYTES = 32 * 2 ** 20
const GATHER_MS = 4000
/** So many are held at most, by one look. */
const MOST_HELD = 10_000
const SIDE_BY_SIDE = 4
const RENEW_AT_ONCE = 200
/** Short polls ask some of the servers that hold a queue, long ones all: only these can say that there is no more. */
const PROOF_SECONDS = 1
const never: Call = { signal: new AbortController().signal }

/**
 * Opens a look at the dead letters of a group.
 *
 * @throws {PolybusError} `UNKNOWN_GROUP` where the group has no queue of dead letters.
 */
export async function openSession(link: Link, layout: Layout, group: string, call: Call): Promise<BrowseSession> {
  const { clock, settings } = link
  const queue = layout.dead(group)
  const what = `queue '${queue.name}'`
  const url = await link.url(queue, call).catch((error: unknown) => {
    throw PolybusError.is(error, 'TOPOLOGY_MISSING') ? unknownGroup(layout, group, error) : error
  })
  const hands = createHands(link, url, what, isFifo(queue))
  const shown = new Set<string>()
  let ready: Message[] = []
  let order = 0
  let exhausted = false
  let gathering: Promise<void> | undefined
  let closing: Promise<void> | undefined

  const held = createHeld(clock, false, (token) => held.drop(token))
  /** Those with less than two thirds left, the oldest first, some at a time: what is renewed counts before the last one is. */
  const renew = async (): Promise<void> => {
    const due = held
      .all()
      .filter(({ endsAt }) => endsAt - clock.now() < (settings.visibilityMs * 2) / 3)
      .toSorted((one, other) => one.endsAt - other.endsAt)
    for (let at = 0; at < due.length && !closing; at += RENEW_AT_ONCE) {
      const tokens = due.slice(at, at + RENEW_AT_ONCE).filter(({ live }) => live)
      const askedAt = clock.now()
      const results = await hands.visible(tokens, () => settings.visibilityMs / 1000, never)
      for (const [index, token] of tokens.entries()) {
        const result = results[index]
        if (result?.ok) held.renewed(token, askedAt + settings.visibilityMs)
        else if (result?.error.code === 'LEASE_LOST') held.drop(token)
      }
    }
  }
  // Without an answer the leases run out, which the next removal tells.
  let timer = clock.timer(settings.visibilityMs / 6, again)
  let renewing: Promise<void> = Promise.resolve()
  function again(): void {
    renewing = renew().then(() => {
      if (!closing) timer = clock.timer(settings.visibilityMs / 6, again)
    })
  }

  const take = async (seconds: number): Promise<readonly Message[]> => {
    const takenAt = clock.now()
    // Not the caller's signal: what an aborted poll brings would be hidden from everybody for a whole lease.
    const { Messages = [] } = await link.ask(
      'poll',
      (client, abortSignal) =>
        client.send(
          new ReceiveMessageCommand({
            QueueUrl: url,
            MaxNumberOfMessages: MOST,
            WaitTimeSeconds: seconds,
            VisibilityTimeout: settings.visibilityMs / 1000,
            MessageAttributeNames: ['All'],
            MessageSystemAttributeNames: ['All'],
          }),
          { abortSignal },
        ),
      never,
      { waitMs: seconds * 1000, situation: { what } },
    )
    for (const native of Messages) {
      const token = tokenOf(native, order++, takenAt, takenAt + settings.visibilityMs)
      const before = held.at(token.position)
      if (before) held.drop(before)
      held.add(token)
    }
    // One that came back all the same was shown before.
    const fresh = Messages.filter(({ MessageId = '' }) => !shown.has(MessageId))
    for (const { MessageId = '' } of fresh) shown.add(MessageId)
    ready.push(...fresh)
    return Messages
  }
  const gather = async (): Promise<void> => {
    const until = clock.now() + GATHER_MS
    const room = (): boolean =>
      ready.length < GATHER &&
      held.size < MOST_HELD &&
      ready.reduce((sum, { Body = '' }) => sum + Body.length, 0) < GATHER_BYTES
    try {
      while (room() && clock.now() < until && !closing) {
        const found = await Promise.all(Array.from({ length: SIDE_BY_SIDE }, () => take(0)))
        if (found.some(({ length }) => length > 0)) continue
        if ((await take(PROOF_SECONDS)).length > 0) continue
        exhausted = true
        break
      }
      if (held.size >= MOST_HELD) exhausted = true
    } finally {
      ready = ready.toSorted(byAge)
    }
  }
  /** Ends the wait at an abort; the gathering goes on, and the next call has what it brings. */
  const gathered = ({ signal }: Call): Promise<void> => {
    gathering ??= gather().finally(() => (gathering = undefined))
    const work = gathering
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(aborted())
      if (signal.aborted) onAbort()
      signal.addEventListener('abort', onAbort)
      work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
    })
  }
  const close = async (): Promise<void> => {
    timer.cancel()
    // What it brings goes back too; why it failed was told to whoever waited for it.
    await gathering?.catch(() => {})
    // A renewal that came later would hide what is given back.
    await renewing
    const results = await hands.release(held.all(), never)
    held.stop()
    const failure = results.find((result) => !result.ok && result.error.code !== 'LEASE_LOST')
    if (failure && !failure.ok) throw failure.error
  }

  return {
    async next(limit, by) {
      if (closing) throw over()
      // It may have found only what was shown before: an empty answer would mean the end.
      while (ready.length === 0 && !exhausted) await gathered(by)
      return ready.splice(0, limit).map((native): RawDeadLetter => ({
        position: native.MessageId ?? '',
        message: fromMessage(native, layout.options),
      }))
    },
    async remove(positions, by) {
      if (closing) throw over()
      const tokens = positions.flatMap((position) => held.at(position) ?? [])
      const results = new Map<string, Result<void>>()
      for (const [index, result] of (await hands.finish(tokens, by)).entries()) {
        const token = tokens[index] as Token
        results.set(token.position, result)
        if (result.ok || result.error.code === 'LEASE_LOST') held.drop(token)
      }
      return positions.map(
        (position): Result<void> =>
          results.get(position) ?? {
            ok: false,
            error: shown.has(position)
              ? leaseLost(position)
              : new PolybusError('DEAD_LETTER_NOT_FOUND', `No dead letter is at ${position}.`),
          },
      )
    },
    close: () => (closing ??= close()),
  }
}

const over = (): PolybusError => new PolybusError('CLOSED', 'This look at dead letters is closed.')

/** Oldest first. Sequence numbers of FIFO queues count within a message group, and each dead letter has its own. */
function byAge(a: Message, b: Message): number {
  const [[atA, orderA], [atB, orderB]] = [ageOf(a), ageOf(b)]
  return atA - atB || orderA - orderB
}

/** Its message is not kept: ten thousand of them would be much. */
function tokenOf(
  { MessageId = '', ReceiptHandle = '' }: Message,
  order: number,
  takenAt: number,
  endsAt: number,
): Token {
  return {
    native: { MessageId },
    handle: ReceiptHandle,
    position: MessageId,
    lane: '',
    order,
    bytes: 0,
    takenAt,
    endsAt,
    live: true,
    copied: false,
    dueAt: 0,
    duePrevious: undefined,
    dueNext: undefined,
    dueListed: false,
  }
}
