// What a reader asks the server, and what it leaves out.
import { virtualClock } from '@polybus/testkit'
import { expect, test } from 'vitest'
import type { Command } from '../src/connection.ts'
import { NO_FIELDS } from '../src/fields.ts'
import { createLayouts } from '../src/layout.ts'
import { checkOptions } from '../src/options.ts'
import { createPlainReader } from '../src/plain.ts'
import type { Member } from '../src/reader.ts'

const STREAM = 'orders'
const NOTHING_DUE = -1

/** A reader whose server has these new entries, a list a read; nothing else is there to gather. */
function reading(...fresh: (readonly string[])[]) {
  const time = virtualClock()
  const settings = checkOptions('redis://localhost')
  const layout = createLayouts(settings, undefined, true).wanted({ name: STREAM, keyed: false, partitions: undefined })
  const asked: string[] = []
  /** What an earlier connection of this process holds. */
  const before = { name: 'me-before', ids: [] as string[] }
  const call = ({ args }: Command): Promise<unknown> => {
    const gather = args[0] === 'EVALSHA'
    asked.push(gather ? 'gather' : 'new')
    if (gather) {
      const ids = before.ids.splice(0, Number(args[args.indexOf('me') + 1]))
      const done = before.ids.length === 0 ? member.orphans : []
      return Promise.resolve([NOTHING_DUE, '0', '0-0', '1-0', done, ids.map((id) => [2, id, NO_FIELDS, 1, null])])
    }
    const ids = fresh.shift() ?? []
    return Promise.resolve(ids.length === 0 ? null : [[STREAM, ids.map((id) => [id, NO_FIELDS])]])
  }
  const member = {
    link: { call },
    clock: time.clock,
    settings,
    layout,
    group: 'email',
    name: 'me',
    orphans: [] as string[],
    adopted: (names: readonly string[]) => (member.orphans = member.orphans.filter((name) => !names.includes(name))),
  }
  const reader = createPlainReader(member as unknown as Member)
  return {
    time,
    reader,
    /** This process held these over a connection that is gone. */
    orphaned(...ids: string[]) {
      before.ids = ids
      member.orphans.push(before.name)
    },
    place: () => reader.after.get(STREAM),
    /** What a read brought, and what it asked. */
    async read(max = 10) {
      asked.length = 0
      const found = await reader.read(max)
      return { ids: found.map(({ id }) => id), asked: [...asked] }
    },
  }
}

test('redis: behind one entry alone the next one is waited for, from its place', async () => {
  const { read, place } = reading([], ['2-0'], ['3-0'])
  expect(await read()).toEqual({ ids: [], asked: ['gather', 'new'] })
  expect(place()).toBe('1-0')
  expect(await read()).toEqual({ ids: ['2-0'], asked: ['new'] })
  expect(await read()).toEqual({ ids: [], asked: [] })
  expect(place()).toBe('2-0')
  expect(await read()).toEqual({ ids: ['3-0'], asked: ['new'] })
})

test('redis: behind several, and where there was room for no more, it looks at once', async () => {
  const { read, place } = reading([], ['2-0', '2-1'], [], ['3-0'], ['3-1'], [])
  await read()
  await read()
  expect(await read()).toEqual({ ids: [], asked: ['new'] })
  expect(place()).toBe('2-1')
  expect((await read(1)).ids).toEqual(['3-0'])
  expect((await read(1)).ids).toEqual(['3-1'])
  expect(await read()).toEqual({ ids: [], asked: ['new'] })
})

test('redis: a wait that ends with nothing new is followed by a gathering: others may have read further', async () => {
  const { read, place } = reading([], ['2-0'])
  await read()
  await read()
  await read()
  expect(await read()).toEqual({ ids: [], asked: ['new', 'gather'] })
  expect(place()).toBe('1-0')
})

test('redis: what this member moved, and time, make it gather; what is new goes first after a wait', async () => {
  const { reader, read, time } = reading([], ['2-0'], [], ['3-0'], ['4-0'], [])
  await read()
  await read()
  reader.changed()
  expect((await read()).asked).toEqual(['gather', 'new'])
  await time.advance(500)
  expect(await read()).toEqual({ ids: ['3-0'], asked: ['new'] })
  expect(await read()).toEqual({ ids: ['4-0'], asked: ['gather', 'new'] })
})

test('redis: what an earlier connection of the same process held goes before what is new, however little room there is', async () => {
  const { read, orphaned } = reading(['5-0', '5-1'], ['6-0'])
  orphaned('2-0', '2-1', '2-2', '2-3')
  expect(await read(1)).toEqual({ ids: ['2-0'], asked: ['gather'] })
  expect(await read(2)).toEqual({ ids: ['2-1', '2-2'], asked: ['gather'] })
  expect(await read(3)).toEqual({ ids: ['2-3', '5-0', '5-1'], asked: ['gather', 'new'] })
  expect(await read()).toEqual({ ids: ['6-0'], asked: ['new'] })
})
