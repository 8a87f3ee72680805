// TLS in front of a real broker, by a key that both sides know: it needs no certificate.
import { type AddressInfo, connect as connectTcp, type Socket } from 'node:net'
import { type ConnectionOptions, createServer, type Server } from 'node:tls'
import { describeBroker, type RunningBroker } from '@polybus/brokers'
import { expect, onTestFinished, test } from 'vitest'
import { call, client, record, topic, valuesOf } from './client-support.ts'

const KEY = Buffer.from('0123456789abcdef')
const CIPHERS = 'PSK-AES128-GCM-SHA256'

/** Where it ends TLS, and how a client gets there: brokers are found by the address that they tell. */
async function tlsBefore({
  host,
  port,
}: RunningBroker): Promise<{ server: Server; to: { host: string; port: number } }> {
  const sockets = new Set<Socket>()
  const server = createServer({ pskCallback: () => KEY, ciphers: CIPHERS, maxVersion: 'TLSv1.2' }, (from) => {
    const to = connectTcp({ host, port })
    for (const socket of [from, to]) {
      sockets.add(socket)
      socket.on('error', () => {})
    }
    from.pipe(to).pipe(from)
  })
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const own = server.address() as AddressInfo
  return { server, to: { host: '127.0.0.1', port: own.port } }
}
const ssl: ConnectionOptions = {
  pskCallback: () => ({ psk: KEY, identity: 'polybus' }),
  ciphers: CIPHERS,
  maxVersion: 'TLSv1.2',
  checkServerIdentity: () => undefined,
}

await describeBroker('kafka', (broker) => {
  test('kafka: writes and reads over TLS, with the options that were given for it', async () => {
    const { server, to } = await tlsBefore(broker())
    let connections = 0
    server.on('secureConnection', () => connections++)
    const own = client(broker(), { client: { to, ssl } })
    await own.connect(call)
    const name = await topic(client(broker()))
    const [result] = await own.producer().produce([{ topic: name, partition: 0, records: [record('x')] }], call)
    expect(result).toEqual({ ok: true, value: 0n })
    expect(await valuesOf(own, name)).toEqual(['x'])
    expect(connections).toBeGreaterThan(1)
  })
})
