// The real server, whose greeting names an older version on its way.
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { describeBroker } from '@polybus/brokers'
import { PolybusError } from '@polybus/core'
import { until } from '@polybus/testkit'
import { expect, onTestFinished, test } from 'vitest'
import { rabbitmq } from '../src/index.ts'
import { call } from './support.ts'

/** A field of the table of server properties: its name, the letter of a long text, its length in four bytes. */
const BEFORE = Buffer.from('\x07versionS')

await describeBroker('rabbitmq', (broker) => {
  test('rabbitmq: a server that is too old is refused at once, with what to do, and no socket to it is left', async () => {
    const { hostname, port, username, password } = new URL(broker().url)
    const open = new Set<Socket>()
    const keep = (socket: Socket): Socket => {
      open.add(socket)
      return socket.on('error', () => {}).on('close', () => open.delete(socket))
    }
    const relay = createServer((client) => {
      const server = keep(connect(Number(port), hostname))
      keep(client).pipe(server)
      server.on('data', (bytes) => void client.write(older(bytes))).on('close', () => client.destroy())
    }).listen(0, '127.0.0.1')
    onTestFinished(() => {
      for (const socket of open) socket.destroy()
      relay.close()
    })
    await once(relay, 'listening')
    const adapter = rabbitmq(`amqp://${username}:${password}@127.0.0.1:${(relay.address() as AddressInfo).port}`)
    onTestFinished(() => adapter.close())
    const error: unknown = await adapter
      .connect({ ...call, namespace: undefined, service: 's', topology: 'create' })
      .catch((thrown: unknown) => thrown)
    if (!PolybusError.is(error)) throw new Error('it was not refused', { cause: error })
    expect([error.code, error.retryable]).toEqual(['UNSUPPORTED', false])
    expect(error.message).toMatch(/RabbitMQ 3\.9\.9*;.*3\.10 or newer/)
    await until(() => open.size === 0, 'its sockets to be closed')
  })
})

function older(bytes: Buffer): Buffer {
  const at = bytes.indexOf(BEFORE)
  if (at < 0) return bytes
  const text = at + BEFORE.length + 4
  const length = bytes.readUInt32BE(at + BEFORE.length)
  const copy = Buffer.from(bytes)
  copy.write('3.9.'.padEnd(length, '9'), text)
  return copy
}
