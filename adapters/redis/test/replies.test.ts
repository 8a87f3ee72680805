import { EventEmitter } from 'node:events'
import type { Command as Request, Redis } from 'ioredis'
import { Decoder, RESP_TYPES } from 'ioredis/built/resp/decoder.js'
import { describe, expect, test } from 'vitest'
import { pack, unpack } from '../src/fields.ts'
import { systemClock } from '@polybus/core'
import { redisError } from '../src/errors.ts'
import { exchange } from '../src/exchange.ts'
import { packed, readReplies, type Value } from '../src/replies.ts'
import { numbers, type Sample, written } from './resp-samples.ts'
import { asked, server } from './server.ts'

/** A client that decodes and keeps its queue as ioredis does, without a socket. */
function client({ queue = [] as { command: Request }[], listeners = 1 } = {}) {
  const destroyed: unknown[] = []
  const stream = Object.assign(new EventEmitter(), { destroy: (error: unknown) => void destroyed.push(error) })
  /** What ioredis was given. */
  const passed: Buffer[] = []
  /** Replies to nothing. */
  const strays: unknown[] = []
  const stray = (reply: unknown): void => void strays.push(reply)
  const decoder = new Decoder({
    getTypeMapping: () => ({ [RESP_TYPES.BLOB_STRING]: Buffer, [RESP_TYPES.SIMPLE_STRING]: Buffer }),
    onReply: (reply: unknown) => (queue.shift()?.command.resolve ?? stray)(reply),
    onErrorReply: (error: Error) => (queue.shift()?.command.reject ?? stray)(error),
    onPush: () => {},
  })
  const theirs = (piece: Buffer): void => {
    passed.push(Buffer.from(piece))
    decoder.write(piece)
  }
  for (let index = 0; index < listeners; index++) stream.on('data', theirs)
  const own = { stream, commandQueue: Object.assign(queue, { peekFront: () => queue[0] }) }
  const answers: unknown[] = []
  const ask = (depth?: number): Request => {
    const request = {
      resolve: (value: unknown) => answers.push(value),
      reject: (error: Error) => answers.push(error.message),
    } as unknown as Request
    if (depth !== undefined) expectEntries(request, depth)
    queue.push({ command: request })
    return request
  }
  const expectEntries = readReplies(own as unknown as Redis)
  return {
    ask,
    answers,
    passed: () => Buffer.concat(passed).toString('latin1'),
    destroyed,
    strays,
    stream,
    queue,
    theirs,
    /** In pieces that end at these places. */
    come(bytes: Buffer, ...cuts: readonly number[]) {
      let from = 0
      for (const to of [...cuts, bytes.length]) {
        if (to > from) stream.emit('data', bytes.subarray(from, to))
        from = to
      }
    },
  }
}

/** With fields as texts, to compare and to read. */
const plain = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(plain)
  if (Buffer.isBuffer(value)) return `bytes ${value.toString('latin1')}`
  if (typeof value === 'object' && value !== null && 'at' in value)
    return { fields: unpack(value as Parameters<typeof unpack>[0]).map((field) => field.toString('latin1')) }
  return value
}
const ENTRIES: Sample = [
  [
    'shop:orders',
    [
      ['1-0', ['data', Buffer.from([0, 13, 10, 255]), 'ce_id', 'ä\r\n']],
      ['2-0', []],
      ['3-0', null],
      ['4-0', ['', '']],
    ],
  ],
]
const READ = [
  [
    'shop:orders',
    [
      ['1-0', { fields: ['data', '\0\r\n\xff', 'ce_id', 'Ã¤\r\n'] }],
      ['2-0', { fields: [] }],
      ['3-0', null],
      ['4-0', { fields: ['', ''] }],
    ],
  ],
]

describe('redis: a reply with entries', () => {
  const bytes = Buffer.concat([Buffer.from('+OK\r\n'), written(ENTRIES), written(7), written(ENTRIES), written('end')])
  const all = ['bytes OK', READ, 7, READ, 'bytes end']

  test('is read here and costs ioredis an empty one, wherever what comes is cut', () => {
    for (let first = 0; first < bytes.length; first++)
      for (const second of [first, first + 1, first + 2, first + 50]) {
        const own = client()
        for (const depth of [undefined, 4, undefined, 4, undefined]) own.ask(depth)
        own.come(bytes, first, Math.min(second, bytes.length))
        expect(own.answers.map(plain)).toEqual(all)
        expect(own.passed()).toBe('+OK\r\n:0\r\n:7\r\n:0\r\n$3\r\nend\r\n')
      }
  })

  test('is read here byte by byte', () => {
    const own = client()
    for (const depth of [undefined, 4, undefined, 4, undefined]) own.ask(depth)
    own.come(bytes, ...bytes.keys())
    expect(own.answers.map(plain)).toEqual(all)
    expect(own.passed()).toBe('+OK\r\n:0\r\n:7\r\n:0\r\n$3\r\nend\r\n')
  })

  test('that is asked for while another one is half here is read too', () => {
    const own = client()
    own.ask()
    const other = written(['x'.repeat(100), 5])
    own.come(other.subarray(0, 50))
    own.ask(4)
    own.come(Buffer.concat([other.subarray(50), written(ENTRIES)]))
    expect(own.answers.map(plain)).toEqual([[`bytes ${'x'.repeat(100)}`, 5], READ])
    expect(own.passed()).toBe(`${other.toString('latin1')}:0\r\n`)
  })

  test.each([
    ['an error', '-NOGROUP no such group\r\n', 'NOGROUP no such group'],
    ['nothing, as a list', '*-1\r\n', null],
    ['nothing, as a text', '$-1\r\n', null],
    ['a text', '$1\r\na\r\n', 'a'],
    ['a list that is too deep', '*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n', [[[[{ fields: ['1'] }]]]]],
    ['a field that is nothing', '*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n$-1\r\n', [[[[{ fields: [''] }]]]]],
  ])('that is %s is left to ioredis', (_, text, value) => {
    for (let cut = 0; cut < text.length; cut++) {
      const last = client()
      last.ask(4)
      last.ask()
      last.ask()
      last.come(Buffer.concat([Buffer.from(text), written(5), written(6)]), cut)
      expect(last.answers.map(plain)).toEqual([value, 5, 6])
      expect(last.strays).toEqual([])
      expect(last.passed()).toBe(`${text}:5\r\n:6\r\n`)
      const own = client()
      own.ask(4)
      own.ask(4)
      own.come(Buffer.concat([Buffer.from(text), written(ENTRIES)]), cut)
      expect(own.answers.map(plain)).toEqual([value, READ])
      expect(own.passed()).toBe(`${text}:0\r\n`)
    }
  })

  test('with an error inside is left to ioredis', () => {
    const own = client()
    own.ask(3)
    own.come(Buffer.from('*2\r\n:1\r\n-ERR inside\r\n'))
    expect(own.answers).toHaveLength(1)
    expect(own.passed()).toBe('*2\r\n:1\r\n-ERR inside\r\n')
  })

  test('of many megabytes is left to ioredis, and the next one is not', () => {
    const body = Buffer.alloc(17 * 2 ** 20, 'x')
    const own = client()
    own.ask(4)
    own.ask(4)
    own.come(
      Buffer.concat([written([['s', [['1-0', ['data', body]]]]]), written(ENTRIES)]),
      100,
      2 ** 24 + 1000,
      2 ** 24 + 2000,
    )
    expect((own.answers[0] as Value[][][][][])[0]?.[1]?.[0]?.[1]).toMatchObject({
      count: 2,
      at: Int32Array.of(0, 4, 4, 4 + body.length),
    })
    expect(plain(own.answers[1])).toEqual(READ)
    expect(own.passed()).toHaveLength(written([['s', [['1-0', ['data', body]]]]]).length + 4)
  })

  test('that nobody announced is left to ioredis', () => {
    const own = client()
    own.come(written(ENTRIES))
    expect(own.passed()).toBe(written(ENTRIES).toString('latin1'))
  })

  test('of a request that was given up before is nobody else’s', () => {
    const own = client()
    const request = own.ask(4)
    own.queue.length = 0
    request.reject(new Error('given up'))
    own.ask()
    own.come(written(ENTRIES))
    expect(own.answers[0]).toBe('given up')
    expect(plain(own.answers[1])).toEqual([['bytes shop:orders', expect.any(Array)]])
  })

  test('is left to ioredis where it has given all up meanwhile, as after an end of the connection', () => {
    const own = client()
    const request = own.ask(4)
    own.come(written(ENTRIES).subarray(0, 50))
    own.queue.length = 0
    request.reject(new Error('given up'))
    own.come(written(ENTRIES).subarray(50))
    expect(own.answers).toEqual(['given up'])
    expect(own.passed()).toBe(written(ENTRIES).toString('latin1'))
  })

  test('that is no RESP2 ends the connection, and nothing behind it is read', () => {
    const own = client()
    own.ask(4)
    own.come(Buffer.from('*1\r\n$3\r\nfooo\r\n'))
    own.come(written(ENTRIES))
    expect(own.destroyed.map(String)).toEqual([expect.stringMatching(/^Error: Protocol error, got /)])
    expect([own.answers, own.passed()]).toEqual([[], ''])
  })

  test('is read by ioredis after something that is no RESP2 and not for us', () => {
    const own = client()
    own.ask()
    own.ask(4)
    // A program that shares the connection may have made it speak RESP3.
    const map = Buffer.from('%1\r\n+a\r\n:1\r\n')
    own.come(Buffer.concat([map, written(ENTRIES)]), 1, 20)
    expect(plain(own.answers[1])).toEqual(READ)
    own.ask(4)
    own.come(written(ENTRIES))
    expect(plain(own.answers[2])).toEqual(READ)
    expect(own.passed()).toBe(Buffer.concat([map, written(ENTRIES), written(ENTRIES)]).toString('latin1'))
    expect(own.destroyed).toEqual([])
    expect(own.stream.listeners('data')).toEqual([own.theirs])
  })

  test('reads whatever is random as ioredis reads it', () => {
    const random = numbers(11)
    const value = (depth: number): Sample => {
      const kind = random(depth > 0 ? 8 : 5)
      if (kind === 0) return null
      if (kind === 1) return random(2 ** 31) - 2 ** 30
      if (kind < 5)
        return Buffer.from(Array.from({ length: random(20) }, () => [13, 10, 36, 42, 65, 195, 255][random(7)] ?? 0))
      return Array.from({ length: random(6) }, () => value(depth - 1))
    }
    let ours = 0
    for (let round = 0; round < 3000; round++) {
      const depths = Array.from({ length: 1 + random(4) }, () => [undefined, 2, 3, 4][random(4)])
      const samples = depths.map((): Sample =>
        random(4) === 0 ? ([null, 5, 'text'][random(3)] ?? null) : Array.from({ length: random(4) }, () => value(4)),
      )
      const all = Buffer.concat(samples.map(written))
      const cuts = Array.from({ length: random(6) }, () => random(all.length)).toSorted((a, b) => a - b)
      const own = client()
      for (const depth of depths) own.ask(depth)
      own.come(all, ...cuts)
      const bare = client({ listeners: 2 })
      for (const depth of depths) bare.ask(depth)
      bare.stream.off('data', bare.theirs)
      bare.come(all, ...cuts)
      expect(own.answers.map(plain)).toEqual(bare.answers.map(plain))
      expect(own.answers).toHaveLength(depths.length)
      expect(own.strays).toEqual([])
      expect(own.queue).toHaveLength(0)
      if (own.passed() !== bare.passed()) ours++
    }
    expect(ours).toBeGreaterThan(1000)
  })
})

describe('redis: where ioredis is another than is known', () => {
  test.each([
    ['has something on its way', 1, [{ command: {} as Request }]],
    ['lets two listen', 2, []],
    ['lets nobody listen', 0, []],
  ])('one that %s keeps all that comes', (_, listeners, queue) => {
    const own = client({ listeners, queue })
    expect(own.stream.listeners('data')).toEqual(Array.from({ length: listeners }, () => own.theirs))
  })

  test('the one that is installed is as it is known', async () => {
    const own = await server()
    const before = own.client.stream.rawListeners('data')
    const expectEntries = readReplies(own.client)
    expect(own.client.stream.rawListeners('data')).not.toEqual(before)
    const answers = exchange(own.client, [['XREADGROUP']], systemClock(), (request) => expectEntries(request, 4))
    const others = exchange(own.client, [['A'], ['B'], ['C']], systemClock())
    await asked(own, 'C\r\n')
    own.answer(written(ENTRIES).subarray(0, 40))
    await new Promise((resolve) => setTimeout(resolve, 10))
    own.answer(Buffer.concat([written(ENTRIES).subarray(40), Buffer.from('$1\r\na\r\n-OOM full\r\n:3\r\n')]))
    expect((await answers).map(([error, value]) => [error, plain(value)])).toEqual([[null, READ]])
    expect((await others).map(([error, value]) => error?.message ?? plain(value))).toEqual(['bytes a', 'OOM full', 3])
  })

  test('and a connection that is cut in the middle of a reply fails what waits', async () => {
    const own = await server()
    const expectEntries = readReplies(own.client)
    const answers = exchange(own.client, [['XREADGROUP']], systemClock(), (request) => expectEntries(request, 4))
    await asked(own, 'XREADGROUP\r\n')
    own.answer(written(ENTRIES).subarray(0, 40))
    await new Promise((resolve) => setTimeout(resolve, 10))
    own.cut()
    expect((await answers)[0]?.[0]?.message).toMatch(/connection is closed/i)
  })

  test.each(['HTTP/1.1 400 Bad Request\r\n', '*1\r\n$3\r\nfooo\r\n'])(
    'what is no RESP2 is said so: %j',
    async (answer) => {
      const own = await server()
      const expectEntries = readReplies(own.client)
      const errors: Error[] = []
      own.client.on('error', (error: Error) => errors.push(error))
      const answers = exchange(own.client, [['XREADGROUP']], systemClock(), (request) => expectEntries(request, 4))
      await asked(own, 'XREADGROUP\r\n')
      own.answer(answer)
      expect((await answers)[0]?.[0]).toBeInstanceOf(Error)
      expect(errors.map(({ message }) => redisError(new Error(message)))).toEqual([
        expect.objectContaining({
          code: 'CONNECTION_FAILED',
          message: expect.stringContaining('the protocol of Redis'),
        }),
      ])
    },
  )

  test.each([{}, { stream: new EventEmitter() }, { stream: {}, commandQueue: { peekFront() {}, length: 0 } }])(
    'replies get the same form without it',
    (other) => {
      const answers: unknown[] = []
      const request = { resolve: (value: unknown) => answers.push(value) } as unknown as Request
      readReplies(other as unknown as Redis)(request, 1)
      request.resolve([Buffer.from('a'), [Buffer.from('b')]])
      expect(answers).toEqual([['a', pack(['b'])]])
    },
  )

  test('a reply that is none with entries keeps its form', () => {
    expect(packed([1, null, Buffer.from('ä')], 3)).toEqual([1, null, 'ä'])
  })
})
