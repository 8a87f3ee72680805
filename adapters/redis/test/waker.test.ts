import { systemClock } from '@polybus/core'
import { expect, test } from 'vitest'
import type { Command, Link } from '../src/connection.ts'
import { createWaker, isBefore } from '../src/waker.ts'
import { until } from './support.ts'

/** A connection whose answers the test gives. */
function scripted(): Link & { readonly asked: { readonly args: Command['args']; answer(value: unknown): void }[] } {
  const asked: { args: Command['args']; answer(value: unknown): void }[] = []
  return {
    asked,
    client: undefined as never,
    version: [7, 0],
    dead: undefined,
    call: ({ args }) => new Promise((answer) => asked.push({ args, answer })),
    batch: () => Promise.resolve([]),
    onDead: () => () => {},
    end() {},
  }
}
const after = (key: string, id = '1-0'): ReadonlyMap<string, string> => new Map([[key, id]])
const ignore = (): void => {}

function setUp() {
  const [commands, blocking] = [scripted(), scripted()]
  const waker = createWaker(systemClock(), commands, () => Promise.resolve(blocking))
  const reads = () => blocking.asked.filter(({ args }) => args[0] === 'XREAD')
  const read = async (n: number) => {
    await until(() => reads().length >= n, `read ${n}`)
    return reads()[n - 1]
  }
  const identify = async () => {
    await until(() => blocking.asked.length > 0, 'CLIENT ID')
    blocking.asked[0]?.answer(7)
  }
  return { commands, blocking, waker, read, identify }
}

test('redis: who waits is woken by an entry behind its own place alone', async () => {
  const { waker, read, identify } = setUp()
  const woken: string[] = []
  const wait = (name: string, from: string): void => {
    waker.watch(after('a', from), () => woken.push(name))
  }
  wait('old', '5-0')
  wait('new', '6-0')
  await identify()
  const first = await read(1)
  expect(first?.args.slice(-2)).toEqual(['a', '5-0'])
  first?.answer([['a', [['6-0', null]]]])
  const second = await read(2)
  expect(woken).toEqual(['old'])
  expect(second?.args.slice(-2)).toEqual(['a', '6-0'])
  waker.close()
})

test('redis: who comes to wait while a read is being interrupted is not forgotten', async () => {
  const { commands, waker, read, identify } = setUp()
  waker.watch(after('a'), ignore)
  await identify()
  const first = await read(1)
  waker.watch(after('b'), ignore)
  await until(() => commands.asked.length === 1, 'the interruption')
  // The read ends before the answer to its interruption comes, over another connection.
  first?.answer(null)
  const second = await read(2)
  expect(second?.args).toEqual(['XREAD', 'COUNT', 1, 'BLOCK', 1000, 'STREAMS', 'a', 'b', '1-0', '1-0'])
  waker.watch(after('c'), ignore)
  commands.asked[0]?.answer(1)
  await until(() => commands.asked.length === 2, 'another interruption')
  second?.answer(null)
  expect((await read(3))?.args).toContain('c')
  waker.close()
})

test('redis: who has stopped to wait is not woken, and the waker ends all waits', async () => {
  const { waker, read, identify } = setUp()
  const woken: string[] = []
  const stop = waker.watch(after('a'), () => woken.push('stopped'))
  waker.watch(after('b'), () => woken.push('waiting'))
  await identify()
  const first = await read(1)
  stop()
  first?.answer([['a', [['2-0', null]]]])
  await read(2)
  expect(woken).toEqual([])
  waker.close()
  expect(woken).toEqual(['waiting'])
})

test('redis: nothing is read for who waits for no entry', () => {
  const { commands, blocking, waker } = setUp()
  waker.watch(new Map(), ignore)
  waker.close()
  expect([...commands.asked, ...blocking.asked]).toEqual([])
})

test('redis: entries are ordered by time, then by number', () => {
  expect(isBefore('9-5', '10-0')).toBe(true)
  expect(isBefore('10-9', '10-10')).toBe(true)
  expect(isBefore('10-1', '10-1')).toBe(false)
})
