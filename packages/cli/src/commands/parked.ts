import type { ParkedKey } from '@polybus/core'
import { type Command, DONE, INCOMPLETE, type Io, UsageError } from '../command.ts'
import { confirm } from '../confirm.ts'
import { type Letters, withLetters } from '../letters.ts'
import { CHANNEL, JSON_LINES } from '../options.ts'
import { type Column, pagedTable } from '../table.ts'

const ABOUT = `Of consumers with \`deadLetter: 'in-order'\`. What waits is in their idempotency store, so --channels has to name a
module that exports the consumer.`

const COLUMNS: readonly Column[] = [
  { title: 'KEY', keep: true },
  { title: 'WAITING', align: 'right', keep: true },
  { title: 'BEHIND' },
  { title: 'WHICH IS', keep: true },
]

export const parkedLs: Command = {
  name: 'parked ls',
  takes: ['<channel>', '<group>'],
  summary: 'lists the keys whose messages wait behind a dead letter',
  about: `${ABOUT} The one they wait behind is dead, or due or sent: on its way again.`,
  options: { ...JSON_LINES, ...CHANNEL },
  examples: [
    'parked ls orders charge --channels ./dist/channels.js',
    'parked ls orders charge --channels ./dist/channels.js --json',
  ],
  looks: true,
  run: (given, io) =>
    withLetters(given, io, async (found) => {
      const json = given.flag('json')
      const table = pagedTable(COLUMNS, io)
      let shown = 0
      for await (const one of parkedOf(found, io)) {
        shown++
        if (json) await io.out(JSON.stringify(one))
        else await table.add([one.key, String(one.waiting), one.head, one.state])
      }
      await table.end()
      if (shown === 0) io.say('None.')
      return DONE
    }),
}

/** @throws {UsageError} where the store is not known here. */
function parkedOf({ letters, store, name, group }: Letters, io: Io): AsyncIterable<ParkedKey> {
  if (!store)
    throw new UsageError(
      `Where messages of ${name}/${group} are parked is not known here: --channels has to name a module that exports the group's consumer, with its idempotency store.`,
    )
  return letters.parked({ signal: io.signal })
}

async function lineOf(all: AsyncIterable<ParkedKey>, key: string): Promise<ParkedKey | undefined> {
  for await (const one of all) if (one.key === key) return one
  return undefined
}

const unpark = (
  how: 'replay' | 'discard',
  more: Pick<Command, 'summary' | 'examples'> & { question: string },
): Command => ({
  name: `parked ${how}`,
  takes: ['<channel>', '<group>', '<key>'],
  summary: more.summary,
  about: `${ABOUT} For where the dead letter itself is gone; as long as it is there, use \`polybus dlq ${how}\`.`,
  options: { yes: { type: 'flag', text: 'does not ask; needed where there is no terminal to ask at' }, ...CHANNEL },
  examples: more.examples,
  run: (given, io) =>
    withLetters(given, io, async (found) => {
      const [, , key = ''] = given.args
      const parked = await lineOf(parkedOf(found, io), key)
      if (!parked) {
        io.say(`polybus: the key '${key}' of ${found.name}/${found.group} is not parked.`)
        return INCOMPLETE
      }
      const question = `${more.question} ${parked.head}, which ${parked.waiting} of key '${key}' wait behind?`
      if (!(await confirm(question, given, io))) return INCOMPLETE
      // Somebody else may have been first.
      const done = await found.letters.unpark(key, { head: how })
      io.say(
        done
          ? `${how === 'replay' ? 'Sent again' : 'Dropped'}: ${parked.head}.`
          : `Nothing was done: the key is not parked any more.`,
      )
      return done ? DONE : INCOMPLETE
    }),
})

export const parkedReplay: Command = unpark('replay', {
  summary: "sends the head of a parked key to its group again, from the store's copy",
  examples: ['parked replay orders charge c-42 --channels ./dist/channels.js'],
  question: 'Send again',
})

export const parkedDiscard: Command = unpark('discard', {
  summary: 'drops the head of a parked key, and goes on with the next one',
  examples: ['parked discard orders charge c-42 --channels ./dist/channels.js --yes'],
  question: 'Drop for good',
})
