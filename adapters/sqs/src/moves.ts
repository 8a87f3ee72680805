// The first half of a move: a copy where it is to go.
import type { Call, Destination, PolybusError, Settlement } from '@polybus/core'
import { failed } from './errors.ts'
import type { Token } from './held.ts'
import type { Layout, Queue } from './layout.ts'
import { copyOf, fromMessage, toEntry } from './mapping.ts'
import { groupIdOf } from './names.ts'
import { type Copy, type Put, putAll } from './send.ts'
import type { Session } from './session.ts'

export type Move = Settlement & { readonly kind: 'move' }

/** The errors of those that could not be copied; the others' tokens are marked, so that a repetition only finishes. */
export async function copyAll(
  session: Session,
  source: Layout,
  moves: readonly Move[],
  call: Call,
): Promise<ReadonlyMap<Move, PolybusError>> {
  const failures = new Map<Move, PolybusError>()
  const routes = new Map<string, { readonly target: Layout; readonly moves: Move[]; readonly copies: Copy[] }>()
  for (const move of moves) {
    try {
      const target = move.to.channel === source.channel ? source : session.layout(move.to.channel)
      const place = move.to.kind === 'channel' ? 'channel' : `${move.to.kind}/${move.to.group}`
      const key = `${target.channel}/${place}`
      let route = routes.get(key)
      if (!route) routes.set(key, (route = { target, moves: [], copies: [] }))
      route.moves.push(move)
      route.copies.push(copyFor(session, source, target, move))
    } catch (error) {
      failures.set(move, failed(error, 'no'))
    }
  }
  await Promise.all(
    [...routes.values()].map(async ({ target, moves: list, copies }) => {
      try {
        const queues = await queuesFor(session, target, (list[0] as Move).to, call)
        const answers = await Promise.all(queues.map((queue) => putAll(session, queue, target.keyed, copies, call)))
        for (const [index, move] of list.entries()) {
          const failure = answers.map((puts) => puts[index] as Put).find((put) => !put.ok)
          if (failure && !failure.ok) failures.set(move, failure.error)
          else (move.token as Token).copied = true
        }
        await bareAll(session, target, list, failures, call)
      } catch (error) {
        for (const move of list) failures.set(move, failed(error, 'no'))
      }
    }),
  )
  return failures
}

/**
 * A message that is as large as SQS takes has no room for our headers. As a dead letter it goes as it came: without a reason,
 * but never stuck.
 */
async function bareAll(
  session: Session,
  target: Layout,
  moves: readonly Move[],
  failures: Map<Move, PolybusError>,
  call: Call,
): Promise<void> {
  for (const move of moves) {
    const { token, to, message } = move
    if (failures.get(move)?.code !== 'MESSAGE_TOO_LARGE' || to.kind !== 'dead-letter' || message) continue
    const copy = copyFor(session, target, target, { ...move, headers: [] })
    const { Body = '', MessageAttributes = {} } = (token as Token).native
    const content = { MessageBody: Body, MessageAttributes }
    const [put] = await putAll(session, target.dead(to.group), target.keyed, [{ ...copy, content }], call)
    if (put?.ok) {
      failures.delete(move)
      ;(token as Token).copied = true
    } else if (put) failures.set(move, put.error)
  }
}

async function queuesFor(session: Session, target: Layout, to: Destination, call: Call): Promise<readonly Queue[]> {
  if (to.kind === 'dead-letter') return [target.dead(to.group)]
  if (to.kind === 'group') return [target.queue(to.group)]
  return (await session.groups(target, call)).map((group) => target.queue(group))
}

function copyFor(session: Session, source: Layout, target: Layout, { token, to, headers, message }: Move): Copy {
  const { native, lane } = token as Token
  // The same for a repetition of the same move: SQS drops the second copy, for five minutes.
  const dedupId = `${native.MessageId ?? ''}-${to.kind}`
  const order = to.kind === 'dead-letter' ? session.nextOrder() : undefined
  const { key } = message ?? fromMessage(native, source.options)
  return {
    content: message
      ? toEntry(
          { ...message, headers: [...message.headers.filter(([name]) => !name.startsWith('polybus-')), ...headers] },
          target.options,
          order,
        )
      : copyOf(native, headers, order),
    delayMs: to.kind === 'group' ? to.delayMs : 0,
    groupId:
      to.kind === 'dead-letter'
        ? dedupId
        : message || lane === ''
          ? key === undefined
            ? dedupId
            : groupIdOf(key)
          : lane,
    dedupId,
    moved: true,
  }
}
