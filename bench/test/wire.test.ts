import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { watchSockets } from '../src/wire.ts'

test('bytes of every socket are counted both ways, of closed ones too, and of those before and after not', async () => {
  const server = createServer((socket) => socket.on('data', (data) => socket.end(Buffer.concat([data, data, data]))))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const exchange = async (bytes: number) => {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    socket.write(Buffer.alloc(bytes))
    socket.resume()
    await once(socket, 'close')
  }
  try {
    await exchange(1000)
    const watch = watchSockets()
    await exchange(10)
    await exchange(7)
    watch.end()
    await exchange(500)
    expect(watch.read()).toEqual({ sent: 17, received: 51 })
  } finally {
    server.close()
  }
})
