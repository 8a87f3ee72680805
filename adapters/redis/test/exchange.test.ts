import type { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { systemClock } from '@polybus/core'
import { type Args, exchange as exchangeBy } from '../src/exchange.ts'
import { asked, server } from './server.ts'

const exchange = (client: Redis, commands: readonly Args[]) => exchangeBy(client, commands, systemClock())

test('writes texts, numbers and bytes with their lengths in bytes', async () => {
  const own = await server()
  void exchange(own.client, [
    ['XADD', 'ä', 'NOMKSTREAM', 7],
    ['SET', Buffer.from([0, 255, 13, 10]), '', Buffer.alloc(0)],
    ['PING'],
  ])
  await asked(own, Buffer.from('*4\r\n$4\r\nXADD\r\n$2\r\nä\r\n$10\r\nNOMKSTREAM\r\n$1\r\n7\r\n').toString('latin1'))
  await asked(own, '*4\r\n$3\r\nSET\r\n$4\r\n\0\xff\r\n\r\n$0\r\n\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n')
})

test('gives each command its own answer, errors too', async () => {
  const own = await server()
  const answers = exchange(own.client, [['A'], ['B'], ['C'], ['D']])
  await asked(own, 'D\r\n')
  own.answer('$3\r\n1-0\r\n-OOM full\r\n:3\r\n$-1\r\n')
  const [a, b, c, d] = await answers
  expect(String(a?.[1])).toBe('1-0')
  expect(b?.[0]?.message).toBe('OOM full')
  expect(c).toEqual([null, 3])
  expect(d).toEqual([null, null])
})

test('keeps the answers that came before the connection was cut', async () => {
  const own = await server()
  const answers = exchange(own.client, [['A'], ['B'], ['C']])
  await asked(own, 'C\r\n')
  own.answer(':1\r\n')
  await new Promise((resolve) => setTimeout(resolve, 20))
  own.cut()
  const [a, b, c] = await answers
  expect(a).toEqual([null, 1])
  expect(b?.[0]?.message).toMatch(/connection is closed/i)
  expect(c?.[0]?.message).toMatch(/connection is closed/i)
})

test('writes nothing to a connection that is gone', async () => {
  const own = await server()
  own.client.disconnect()
  const [a, b] = await exchange(own.client, [['A'], ['B']])
  expect([a?.[0], b?.[0]]).toEqual([expect.any(Error), expect.any(Error)])
  expect(own.received()).toBe('')
})

test("heeds ioredis's own time-out, and what comes late is nobody else's answer", async () => {
  const own = await server({ commandTimeout: 300 })
  const [a, b] = await exchange(own.client, [['A'], ['B']])
  expect([a?.[0]?.message, b?.[0]?.message]).toEqual(['Command timed out', 'Command timed out'])
  const next = exchange(own.client, [['C']])
  await asked(own, 'C\r\n')
  own.answer(':1\r\n:2\r\n:3\r\n')
  expect(await next).toEqual([[null, 3]])
})

test('who wraps sendCommand sees each command by its name, and each of its answers once', async () => {
  const own = await server()
  const seen: string[] = []
  const send = own.client.sendCommand.bind(own.client)
  own.client.sendCommand = (one, stream) => {
    const { resolve } = one
    one.resolve = (value) => {
      seen.push(one.name)
      resolve(value)
    }
    return send(one, stream)
  }
  const answers = exchange(own.client, [['XADD'], ['XACK'], ['XADD']])
  await asked(own, 'XACK')
  own.answer(':1\r\n:2\r\n:3\r\n')
  expect(await answers).toEqual([1, 2, 3].map((value) => [null, value]))
  expect(seen).toEqual(['XADD', 'XACK', 'XADD'])
})

test('answers nothing to nothing', async () => {
  const own = await server()
  expect(await exchange(own.client, [])).toEqual([])
})
