import { type Command, DONE, INCOMPLETE } from '../command.ts'
import { confirm } from '../confirm.ts'
import { ASKED, JSON_LINES, REGISTRY } from '../options.ts'
import { isWrong, localsOf, verdictOf } from '../schemas.ts'
import { linesOf } from './schema-check.ts'

export const schemaRegister: Command = {
  name: 'schema register',
  takes: ['[channel...]'],
  summary: 'registers the schemas of channels that the registry does not have',
  about: 'Shows first what is new. Where one of them would break something, it says what, and none is registered.',
  options: { ...ASKED, ...JSON_LINES, ...REGISTRY },
  examples: [
    'schema register --channels ./dist/channels.js --dry-run',
    'schema register orders --channels ./dist/channels.js --yes',
  ],
  brokerless: true,
  async run(given, io) {
    const locals = (await localsOf(given, io)).filter(({ target }) => target.local)
    const examined = await Promise.all(locals.map(async (local) => ({ local, verdict: await verdictOf(local) })))
    const changes = examined.filter(({ verdict }) => verdict?.status !== 'registered')
    for (const { local, verdict } of changes) for (const text of linesOf(local, verdict)) io.say(text)
    if (changes.some(({ verdict }) => isWrong(verdict))) {
      io.say('polybus: nothing was registered. Make them compatible, or give the subject another level.')
      return INCOMPLETE
    }
    if (changes.length === 0) {
      io.say('All are registered.')
      return DONE
    }
    if (given.flag('dry-run') || !(await confirm(`Register ${changes.length}?`, given, io)))
      return given.flag('dry-run') ? DONE : INCOMPLETE
    for (const { local } of changes) {
      const { own, target, channel } = local
      const { subject, local: schema } = target
      if (!schema) continue
      io.signal.throwIfAborted()
      const id = await own.admin.register(subject, schema)
      await io.out(given.flag('json') ? JSON.stringify({ channel, subject, id }) : `${subject}: id ${id}`)
    }
    return DONE
  },
}
