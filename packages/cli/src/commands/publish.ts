import { type Bus, describeError, type PublishOptions } from '@polybus/core'
import { withBus } from '../bus.ts'
import { findChannel, type Found, groupsOf, mustBeThere } from '../channels.ts'
import { type Command, DONE, type Given, INCOMPLETE, type Io, UsageError } from '../command.ts'
import { parseValue } from '../edit-value.ts'
import { linesOf, parseLine } from '../lines.ts'
import { CHANNEL, GROUPS, JSON_LINES } from '../options.ts'

/** Publishes that wait for the broker at one time. */
const AT_ONCE = 1000

export const publish: Command = {
  name: 'publish',
  takes: ['<channel>', '[value]'],
  summary: 'publishes one JSON value, or one a line',
  about: `Without a value each line of --file, or of stdin, is one. Waits until the broker has confirmed; a line that cannot be published is told
with its number, the others are published. With --channels values are validated, and keys are the channel's.`,
  options: {
    file: { type: 'text', value: 'FILE', text: 'lines of JSON; - is stdin' },
    key: { type: 'text', value: 'KEY', text: "the message's key" },
    'key-from': { type: 'text', value: 'FIELD', text: 'the field of the value that is its key' },
    id: { type: 'text', value: 'ID', text: "the message's id (for one value)" },
    header: { type: 'list', value: 'NAME=TEXT', text: 'a header; may be given several times' },
    delay: { type: 'text', value: 'DURATION', text: 'not before this time, where the broker can: 10s, 5m' },
    ...GROUPS,
    ...JSON_LINES,
    ...CHANNEL,
  },
  examples: [
    `publish orders '{"id":"o-1","customer":"c-42","cents":2998}' --key-from customer`,
    'publish orders --file orders.jsonl --channels ./dist/channels.js',
    `echo '{"id":"o-1"}' | polybus publish orders --header tenant=acme --json`,
  ],
  run: (given, io) => {
    const [name = '', text] = given.args
    const file = given.text('file')
    if (text !== undefined && file !== undefined) throw new UsageError('Give a value or --file, not both.')
    if (text === undefined && given.text('id') !== undefined)
      throw new UsageError('--id is for one value: several messages with one id are duplicates.')
    if (given.text('key') !== undefined && given.text('key-from') !== undefined)
      throw new UsageError('Give --key or --key-from, not both.')
    const one = text === undefined ? undefined : { value: parseValue(text, 'The value') }
    const headers = headersOf(given.list('header'))
    return withBus(given, io, 'verify', async (bus) => {
      const keyed = given.text('key') !== undefined || given.text('key-from') !== undefined
      const found = await findChannel(bus, given, io, name, groupsOf(given), { keyed })
      mustBeThere(name, found)
      const send = sender(bus, found, given, io, headers)
      if (one) {
        await send(one.value)
        if (!given.flag('json')) io.say('published 1')
        return DONE
      }
      return publishLines(file ?? '-', io, send)
    })
  },
}

type Send = (value: unknown) => Promise<void>

function sender(bus: Bus, { channel }: Found, given: Given, io: Io, headers: Record<string, string>): Send {
  const field = given.text('key-from')
  const options = {
    id: given.text('id'),
    headers,
    delay: given.text('delay') as PublishOptions['delay'],
  }
  return async (value) => {
    const key = field === undefined ? given.text('key') : keyOf(value, field)
    const { id, position } = await bus.publish(channel, value, { ...options, key })
    if (given.flag('json')) await io.out(JSON.stringify({ id, position }))
  }
}

async function publishLines(file: string, io: Io, send: Send): Promise<number> {
  let done = 0
  let failed = 0
  const underWay = new Set<Promise<void>>()
  const fail = (number: number, error: unknown): void => {
    failed++
    io.say(`polybus: line ${number}: ${describeError(error).message}`)
  }
  try {
    for await (const line of linesOf(file, io)) {
      let value: unknown
      try {
        value = parseLine(line)
      } catch (error) {
        failed++
        io.say(`polybus: ${(error as Error).message}`)
        continue
      }
      const one = send(value)
        .then(
          () => void done++,
          (error: unknown) => fail(line.number, error),
        )
        .finally(() => underWay.delete(one))
      underWay.add(one)
      if (underWay.size >= AT_ONCE) await Promise.race(underWay)
      io.status(`published ${done}`)
    }
  } finally {
    await Promise.all(underWay)
    io.status('')
    io.say(`published ${done}${failed > 0 ? `, failed ${failed}` : ''}`)
  }
  return failed > 0 ? INCOMPLETE : DONE
}

function keyOf(value: unknown, field: string): string {
  const key = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[field] : undefined
  if (typeof key === 'string' || typeof key === 'number') return String(key)
  throw new UsageError(`--key-from ${field}: the value has no such text or number.`)
}

function headersOf(given: readonly string[]): Record<string, string> {
  const pairs = given.map((text) => {
    const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? []
    if (name === undefined || value === undefined)
      throw new UsageError(`--header ${text}: expected NAME=TEXT, such as tenant=acme.`)
    return [name, value] as const
  })
  return Object.fromEntries(pairs)
}
