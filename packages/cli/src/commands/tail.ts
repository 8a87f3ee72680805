import type { Message } from '@polybus/core'
import { withBus } from '../bus.ts'
import { findChannel, withBytes } from '../channels.ts'
import { type Command, DONE, INCOMPLETE, UsageError } from '../command.ts'
import { confirm } from '../confirm.ts'
import { CHANNEL, JSON_LINES } from '../options.ts'
import { textOf, toBytes } from '../record.ts'
import { clean } from '../table.ts'
import { shortTime } from '../times.ts'

export const tail: Command = {
  name: 'tail',
  takes: ['<channel>'],
  summary: 'prints messages as a group gets them',
  about: `It is a member of the group: what it prints is acknowledged, and that group's consumers do not get it. A group that is not there
yet is created; it stays on the broker and collects messages until it is deleted there. So it asks first.`,
  options: {
    group: { type: 'text', value: 'NAME', text: 'the group that it is a member of (needed)' },
    from: { type: 'text', value: 'PLACE', text: 'where a new group begins: beginning or end' },
    limit: { type: 'whole', value: 'N', text: 'ends after so many (default: at Ctrl-C)' },
    yes: { type: 'flag', text: 'does not ask; needed where there is no terminal to ask at' },
    ...JSON_LINES,
    ...CHANNEL,
  },
  examples: ['tail orders --group debug --from end', 'tail orders --group debug --limit 10 --yes --json'],
  looks: true,
  run: (given, io) => {
    const [name = ''] = given.args
    const group = given.text('group')
    if (group === undefined) throw new UsageError('--group is needed: tail takes the messages of that group.')
    const from = given.text('from')
    if (from !== undefined && from !== 'beginning' && from !== 'end')
      throw new UsageError(`--from: expected beginning or end, got '${from}'.`)
    const limit = given.number('limit') ?? Infinity
    return withBus(given, io, 'create', async (bus) => {
      const { channel, inspection } = await findChannel(bus, given, io, name, [group])
      if (inspection.conflicts[0])
        throw new UsageError(`The channel '${name}' is there, but different: ${inspection.conflicts[0].text}.`)
      const create = inspection.missing.some(({ kind }) => kind === 'create-channel')
      if (create)
        throw new UsageError(
          `The broker has no channel '${name}', or not all of it. Mind the spelling and --namespace.`,
        )
      const question =
        inspection.missing.length > 0
          ? `Create the group '${group}'? It stays on the broker, and collects messages until it is deleted there.`
          : `Take messages of the group '${group}'? Its consumers will not get what is printed.`
      if (!(await confirm(question, given, io))) return INCOMPLETE

      const { codec } = channel['~definition']
      /** By the channel's own codec; what it cannot read is shown as it is. */
      const decoded = async ({ body, type }: Message): Promise<unknown> => {
        if (given.text('channels') === undefined || body === null) return undefined
        try {
          return await codec.decode(body, { channel: channel.name, type })
        } catch {
          return undefined
        }
      }
      let count = 0
      const enough = new AbortController()
      const over = AbortSignal.any([io.signal, enough.signal])
      const subscription = await bus.subscribe(withBytes(channel), group, {
        concurrency: 1,
        ...(from !== undefined && { from }),
        handler: async (_, { message, signal }) => {
          // What was not printed is not acknowledged: it waits until the stop gives it back.
          if (over.aborted) {
            await ended(signal)
            throw new Error('not printed')
          }
          const value = await decoded(message)
          await io.out(given.flag('json') ? JSON.stringify({ ...recordOf(message), value }) : textual(message, value))
          if (++count >= limit) enough.abort()
        },
      })
      await ended(over)
      await subscription.stop()
      io.say(`${count} messages`)
      return DONE
    })
  },
}

const ended = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })

const recordOf = ({ id, source, type, time, key, headers, contentType, position, body }: Message): object => ({
  id,
  source,
  type,
  time,
  key,
  headers,
  contentType,
  position,
  body: body && toBytes(body),
})

const textual = ({ id, time, key, body }: Message, value: unknown): string =>
  [shortTime(time), id, key ?? '-', value === undefined ? shown(body) : JSON.stringify(value)].map(clean).join('  ')
const shown = (body: Uint8Array | null): string =>
  body === null ? '(no body)' : (textOf(body) ?? `(${body.length} bytes)`)
