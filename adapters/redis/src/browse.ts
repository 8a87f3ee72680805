import { type BrowseSession, type Call, PolybusError, type RawDeadLetter, type Result } from '@polybus/core'
import { command, type Link } from './connection.ts'
import type { Layout } from './layout.ts'
import { pack } from './fields.ts'
import { fromFields } from './mapping.ts'
import type { RedisChannelOptions } from './options.ts'
import { OK } from './settle.ts'

type Entry = readonly [id: Buffer, fields: readonly Buffer[]]

/**
 * Dead letters are a stream of their own, so that a look is a cursor: it holds nothing, hides nothing, and sees letters that
 * are written behind its place.
 */
export function openSession(
  link: () => Link,
  { channel, keys }: Layout,
  group: string,
  options: RedisChannelOptions | undefined,
): BrowseSession {
  const key = keys.dead(group)
  let after = '-'
  let open = true
  const atWork = (): Link => {
    if (open) return link()
    throw new PolybusError('CLOSED', 'This look at dead letters is closed.')
  }
  return {
    async next(limit, call) {
      const entries = (await atWork().call(
        command('XRANGE', [key], after, '+', 'COUNT', limit),
        call,
      )) as readonly Entry[]
      const last = entries.at(-1)
      if (last) after = `(${String(last[0])}`
      return entries.map(([id, fields]): RawDeadLetter => {
        const position = String(id)
        return { position, message: fromFields(pack(fields), channel, `dead/${position}`, options) }
      })
    },
    async remove(positions, call) {
      const valid = positions.filter(isEntryId)
      const replies = await removeAll(atWork(), key, valid, call)
      return positions.map((position): Result<void> => {
        const reply = replies[valid.indexOf(position)]
        if (reply && !reply.ok) return reply
        if (reply?.value === 1) return OK
        return { ok: false, error: new PolybusError('DEAD_LETTER_NOT_FOUND', `No dead letter is at ${position}.`) }
      })
    },
    close() {
      open = false
      return Promise.resolve()
    },
  }
}

const isEntryId = (position: string): boolean => /^\d{1,20}-\d{1,20}$/.test(position)

const removeAll = (link: Link, key: string, ids: readonly string[], call: Call): ReturnType<Link['batch']> =>
  ids.length === 0
    ? Promise.resolve([])
    : link.batch(
        ids.map((id) => command('XDEL', [key], id)),
        call,
      )
