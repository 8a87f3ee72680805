import { type Call, type Destination, type PolybusError, type Result, type Settlement } from '@polybus/core'
import { command, type Command, type Reply, script } from './connection.ts'
import { connectionFailed, leaseLost, missing } from './errors.ts'
import { type Held, noteOf, type Token } from './held.ts'
import type { Layouts } from './layout.ts'
import { type Field, pushHeaders } from './fields.ts'
import { toFields, withCoreHeaders } from './mapping.ts'
import { RELEASED } from './names.ts'
import { packNote } from './notes.ts'
import type { Member, Reader } from './reader.ts'
import { sendAll } from './send.ts'

export const OK: Result<void> = { ok: true, value: undefined }

type Move = Settlement & { readonly kind: 'move' }
type Release = Settlement & { readonly kind: 'release' }
type Settle = (batch: readonly Settlement[], call: Call) => Promise<readonly Result<void>[]>

/** One command, and whose results it decides. */
interface Part {
  readonly ask: Command
  readonly decide: (reply: Reply) => void
}

export function createSettle(member: Member, layouts: Layouts, held: Held, reader: Reader): Settle {
  const { link, layout, group, name } = member
  const { keys } = layout
  const notes = keys.notes(group)

  const finish = (token: Token): Result<void> => {
    held.drop(token)
    return OK
  }
  const lost = (token: Token): Result<void> => {
    held.drop(token)
    return { ok: false, error: leaseLost(token.position) }
  }

  const targetOf = (to: Destination, lane: number): readonly [kind: string, key: string] => {
    if (to.kind === 'dead-letter') return ['dead', keys.dead(to.group)]
    if (to.kind === 'channel') return ['retry', keys.stream(lane)]
    return to.delayMs > 0 ? ['due', keys.due(to.group)] : ['retry', keys.retry(to.group, lane)]
  }
  /** A foreign entry of thousands of fields: no script takes so many. It waits for no delay. */
  const moveLarge = async (token: Token, { to, headers, message }: Move, call: Call): Promise<Result<void>> => {
    const [, key] = targetOf(to.kind === 'group' ? { ...to, delayMs: 0 } : to, token.lane)
    const fields = toFields(withCoreHeaders(message ?? token.message, headers))
    // Not in one transaction: it would go on to the second after the first has failed.
    for (const ask of [command('XADD', [key], '*', ...fields), command('XACK', [token.key], group, token.id)]) {
      const [reply] = await link.batch([ask], call)
      if (!reply?.ok) return reply ?? { ok: false, error: connectionFailed('no answer', 'unknown') }
    }
    return finish(token)
  }

  return async (batch, call) => {
    const results: (Result<void> | undefined)[] = []
    const parts: Part[] = []
    /** And where their results stand. */
    const acks = new Map<string, { readonly tokens: Token[]; readonly indexes: number[] }>()
    const ack = (index: number, token: Token): void => {
      let list = acks.get(token.key)
      if (!list) acks.set(token.key, (list = { tokens: [], indexes: [] }))
      list.tokens.push(token)
      list.indexes.push(index)
    }
    const releases = new Map<string, [index: number, token: Token, settlement: Release][]>()
    const trimmed: [index: number, token: Token, settlement: Move][] = []
    const large: [index: number, token: Token, settlement: Move][] = []
    const elsewhere: [index: number, token: Token, settlement: Move][] = []

    const move = (index: number, token: Token, settlement: Move, native: boolean): Part => ({
      ask: moveCommand(token, settlement, native),
      decide(reply) {
        if (!reply.ok) results[index] = reply
        else if (String(reply.value) === 'OK') results[index] = finish(token)
        else if (String(reply.value) === 'GONE' && native) trimmed.push([index, token, settlement])
        else if (String(reply.value) === 'LARGE') large.push([index, token, settlement])
        else if (String(reply.value) === 'NOTARGET') results[index] = { ok: false, error: noTarget(settlement.to) }
        else results[index] = lost(token)
      },
    })
    const moveCommand = (token: Token, { to, headers, message }: Move, native: boolean): Command => {
      const fields: Field[] = []
      if (native) pushHeaders(fields, headers)
      else fields.push(...toFields(withCoreHeaders(message ?? token.message, headers)))
      const [kind, target] = targetOf(to, token.lane)
      const note = token.noted ? noteOf(token) : ''
      return script(
        'move',
        [token.key, target, keys.meta, notes],
        group,
        name,
        token.id,
        kind,
        delayOf(to),
        token.lane,
        native ? '1' : '0',
        note,
        ...fields,
      )
    }
    const noTarget = (to: Destination): PolybusError =>
      missing(`stream for what goes to the channel '${to.channel}'`, layouts.mayCreate)

    // A lane whose lease is over by our clock may be another member's: nothing of it is settled any more.
    const valid = reader.valid()
    for (let index = 0; index < batch.length; index++) {
      const settlement = batch[index] as Settlement
      const token = settlement.token as Token
      if (!valid || !token.live) {
        results[index] = { ok: false, error: leaseLost(token.position) }
        continue
      }
      if (settlement.kind === 'ack') ack(index, token)
      else if (settlement.kind === 'release') add(releases, token.key, [index, token, settlement])
      else if (settlement.to.channel !== layout.channel) elsewhere.push([index, token, settlement])
      else parts.push(move(index, token, settlement, settlement.message === undefined))
    }
    // To another channel it cannot be one script: that channel's keys may live on another server.
    if (elsewhere.length > 0) {
      const copies = await sendAll(
        link,
        layouts,
        elsewhere.map(([, token, { to, headers, message }]) => ({
          handover: 0,
          message: withCoreHeaders(message ?? token.message, headers),
          to,
        })),
        call,
      )
      for (const [at, [index, token]] of elsewhere.entries()) {
        const copy = copies[at]
        if (copy?.ok) ack(index, token)
        else if (copy) results[index] = copy
      }
    }
    for (const [key, { tokens, indexes }] of acks) {
      const ids = tokens.map(({ id }) => id)
      parts.push({
        ask: command('XACK', [key], group, ...ids),
        decide: (reply) => {
          for (let at = 0; at < tokens.length; at++)
            results[indexes[at] as number] = reply.ok ? finish(tokens[at] as Token) : reply
        },
      })
      const noted = tokens.filter((token) => token.noted).map(noteOf)
      // A note that stays is only garbage, and is read by nobody.
      if (noted.length > 0) parts.push({ ask: command('HDEL', [notes], ...noted), decide() {} })
    }
    for (const [key, list] of releases) {
      // Their order is that of their ids, whatever order core names them in.
      const args = list.flatMap(([, { id }, { headers }]) => [id, headers ? packNote(headers) : ''])
      const first = list[0]?.[1]
      const tag = first ? noteOf({ ...first, id: '' }) : ''
      parts.push({
        ask: script('release', [key, notes], group, name, RELEASED, 1, tag, ...args),
        decide(reply) {
          const done = reply.ok ? (reply.value as readonly number[]) : []
          for (const [at, [index, token]] of list.entries()) {
            results[index] = reply.ok ? (done[at] === 1 ? finish(token) : lost(token)) : reply
            reader.returned(token.lane)
          }
        },
      })
    }
    const run = async (list: readonly Part[]): Promise<void> => {
      if (list.length === 0) return
      const replies = await link.batch(
        list.map(({ ask }) => ask),
        call,
      )
      for (const [index, { decide }] of list.entries()) decide(replies[index] as Reply)
    }
    await run(parts)
    // Its original was trimmed by somebody: the copy is made of what was delivered.
    await run(trimmed.map(([index, token, settlement]) => move(index, token, settlement, false)))
    for (const [index, token, settlement] of large) results[index] = await moveLarge(token, settlement, call)
    if (batch.some(({ kind }) => kind !== 'ack')) {
      reader.changed()
      member.nudge()
    }
    return results.map((result) => result ?? OK)
  }
}

const delayOf = (to: Destination): number => (to.kind === 'group' ? Math.ceil(to.delayMs) : 0)

export function add<T>(lists: Map<string, T[]>, key: string, item: T): void {
  const list = lists.get(key)
  if (list) list.push(item)
  else lists.set(key, [item])
}
