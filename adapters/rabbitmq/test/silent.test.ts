// A server that takes connections and says nothing.
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { PolybusError } from '@polybus/core'
import { until } from '@polybus/testkit'
import { expect, onTestFinished, test } from 'vitest'
import { rabbitmq } from '../src/index.ts'

test.each(['the time is over', 'the wait is ended'])('rabbitmq: when %s, no socket to it is left', async (how) => {
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket.on('error', () => {}).on('close', () => open.delete(socket))
    socket.resume()
  }).listen(0, '127.0.0.1')
  onTestFinished(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  await once(server, 'listening')
  const ended = how === 'the wait is ended'
  const adapter = rabbitmq({
    url: `amqp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    commandTimeoutMs: ended ? 5000 : 100,
  })
  onTestFinished(() => adapter.close())
  const stop = new AbortController()
  const connecting = adapter
    .connect({ signal: stop.signal, namespace: undefined, service: 'test', topology: 'create' })
    .then(
      () => undefined,
      (error: unknown) => error,
    )
  await until(() => open.size > 0, 'a connection')
  if (ended) stop.abort()
  expect(PolybusError.is(await connecting, 'CONNECTION_FAILED')).toBe(true)
  await until(() => open.size === 0, 'its sockets to be closed')
})
