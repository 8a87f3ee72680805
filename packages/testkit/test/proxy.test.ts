import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { systemClock } from '@polybus/core'
import { memory } from '@polybus/memory'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type FaultProxy, faultProxy, type FaultProxyOptions, namespaceProxies } from '../src/index.ts'
import { cutOff } from '../src/proxy-reset.ts'
import { waitFor } from '../src/wait.ts'

const clock = systemClock()
const until = (condition: () => unknown, what: string, timeoutMs = 5000): Promise<void> =>
  waitFor(clock, condition, what, { timeoutMs })

let echo: Server
let target: { host: string; port: number }
/** What the server has read. */
let heard = ''
let reading = true
const sockets = new Set<Socket>()
const proxies: FaultProxy[] = []

beforeEach(async () => {
  heard = ''
  reading = true
  echo = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    if (!reading) return void socket.pause()
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1')
      socket.write(chunk)
    })
  })
  echo.listen(0, '127.0.0.1')
  await once(echo, 'listening')
  target = { host: '127.0.0.1', port: (echo.address() as { port: number }).port }
})
afterEach(async () => {
  for (const proxy of proxies.splice(0)) await proxy.close()
  for (const socket of sockets) socket.destroy()
  sockets.clear()
  echo.close()
})

async function start(options?: FaultProxyOptions): Promise<FaultProxy> {
  const proxy = await faultProxy(target, options)
  proxies.push(proxy)
  return proxy
}

interface Client {
  readonly socket: Socket
  readonly got: () => string
  readonly error: () => string | undefined
  say(text: string): void
}
async function client(proxy: Pick<FaultProxy, 'host' | 'port'>): Promise<Client> {
  const socket = connect(proxy.port, proxy.host)
  sockets.add(socket)
  let got = ''
  let error: string | undefined
  socket.on('data', (chunk) => (got += chunk.toString('latin1')))
  socket.on('error', (thrown: Error & { code?: string }) => (error = thrown.code ?? thrown.message))
  await until(() => socket.readyState === 'open' || error !== undefined, 'to be connected or refused')
  return { socket, got: () => got, error: () => error, say: (text) => void socket.write(text) }
}

test('what is sent arrives, both ways, byte for byte, and an end is passed on', async () => {
  const one = await client(await start())
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, n) => n % 256))
  one.socket.write(bytes)
  await until(() => one.got().length === bytes.length, 'the echo')
  expect(Buffer.from(one.got(), 'latin1').equals(bytes)).toBe(true)
  one.socket.end()
  await once(one.socket, 'close')
  expect(one.error()).toBeUndefined()
})

test('cut resets every live connection, once', async () => {
  const proxy = await start()
  const [one, two] = [await client(proxy), await client(proxy)]
  one.say('a')
  await until(() => one.got() === 'a', 'the echo')
  proxy.cut()
  await until(() => one.error() && two.error(), 'both to be reset')
  expect([one.error(), two.error()]).toEqual(['ECONNRESET', 'ECONNRESET'])
  expect(proxy.connections).toBe(0)
  const three = await client(proxy)
  three.say('b')
  await until(() => three.got() === 'b', 'a new connection')
})

test('down resets all and refuses new ones, until up, on the same port; again and again', async () => {
  const proxy = await start()
  const { port } = proxy
  for (let round = 0; round < 20; round++) {
    const one = await client(proxy)
    proxy.down()
    await until(() => one.error(), 'a reset')
    expect((await client(proxy)).error()).toBe('ECONNREFUSED')
    await proxy.up()
    expect(proxy.port).toBe(port)
    const two = await client(proxy)
    two.say('x')
    await until(() => two.got() === 'x', 'an answer after up')
    two.socket.destroy()
  }
})

test('paused, nothing passes and connections stay; what was sent meanwhile passes at resume', async () => {
  const proxy = await start()
  const [one, gone] = [await client(proxy), await client(proxy)]
  one.say('1')
  await until(() => one.got() === '1', 'the echo')
  proxy.pause()
  one.say('2')
  gone.say('3')
  gone.socket.destroy()
  const late = await client(proxy)
  late.say('4')
  const end = clock.now() + 200
  await until(() => clock.now() > end, 'a while')
  expect(heard).toBe('1')
  expect([one.error(), late.error()]).toEqual([undefined, undefined])
  proxy.resume()
  await until(() => heard.split('').toSorted().join('') === '1234', 'all that was sent')
  await until(() => one.got() === '12' && late.got() === '4', 'the answers')
})

test('a receiver that does not read holds its sender back: the proxy keeps little', async () => {
  reading = false
  const proxy = await start()
  const one = await client(proxy)
  const chunk = Buffer.alloc(64 * 1024)
  let sent = 0
  // A write that is done has left this process.
  const write = (): void =>
    void one.socket.write(chunk, (error) => (error ? undefined : ((sent += chunk.length), write())))
  write()
  let last = -1
  await until(async () => {
    const still = sent === last
    last = sent
    const end = clock.now() + 200
    await until(() => clock.now() > end, 'a while')
    return still
  }, 'the sender to be held back')
  // What the two pairs of socket buffers take, and no more.
  expect(sent).toBeLessThan(32 * 2 ** 20)
})

test('delay lets everything arrive later, each way, and in order', async () => {
  const proxy = await start()
  const one = await client(proxy)
  proxy.delay(400)
  const start_ = clock.now()
  for (const letter of 'abcdef') one.say(letter)
  await until(() => one.got() === 'abcdef', 'the echo')
  expect(clock.now() - start_).toBeGreaterThanOrEqual(795)
  proxy.delay(0)
  const again = clock.now()
  one.say('g')
  await until(() => one.got().endsWith('g'), 'the echo')
  expect(clock.now() - again).toBeLessThan(700)
})

test('throttle lets through so many bytes a second', async () => {
  const proxy = await start()
  const one = await client(proxy)
  proxy.throttle(20_000)
  const before = clock.now()
  one.socket.write(Buffer.alloc(10_000, 'x'))
  await until(() => one.got().length === 10_000, 'the echo')
  expect(clock.now() - before).toBeGreaterThan(400)
  expect(clock.now() - before).toBeLessThan(15_000)
})

test('cutAnswers: the server reads the request, its answer is swallowed and the connection cut, so many times', async () => {
  const proxy = await start({ isSend: (bytes) => bytes.includes('SEND') })
  const [one, two, three] = [await client(proxy), await client(proxy), await client(proxy)]
  proxy.cutAnswers(2)
  one.say('read')
  await until(() => one.got() === 'read', 'what is no send to be answered')
  // The mark may come in two pieces.
  one.say('SE')
  await until(() => one.got() === 'readSE', 'half of it')
  one.say('ND1')
  two.say('SEND2')
  await until(() => one.error() && two.error(), 'two cuts')
  expect([one.got(), two.got()]).toEqual(['readSE', ''])
  expect(heard).toMatch(/SEND1/)
  expect(heard).toMatch(/SEND2/)
  expect(proxy.answersCut).toBe(2)
  three.say('SEND3')
  await until(() => three.got() === 'SEND3', 'the third to be answered')
})

test('a server that is not there resets the client, as a load balancer would', async () => {
  const proxy = await start()
  echo.close()
  await until(() => !echo.listening, 'the server to be gone')
  const one = await client(proxy)
  await until(() => one.error(), 'a reset')
  expect(one.error()).toBe('ECONNRESET')
  expect(proxy.connections).toBe(0)
})

test('more connections than allowed are refused', async () => {
  const proxy = await start({ maxConnections: 1 })
  const one = await client(proxy)
  one.say('a')
  await until(() => one.got() === 'a', 'the echo')
  const two = await client(proxy)
  await until(() => two.error(), 'a reset')
  expect(one.error()).toBeUndefined()
})

test('each namespace has a proxy of its own', async () => {
  const own = namespaceProxies(target)
  await Promise.all([own.prepare('a'), own.prepare('a'), own.prepare('b')])
  expect(own.of('a').port).not.toBe(own.of('b').port)
  const [one, two] = [await client(own.of('a')), await client(own.of('b'))]
  own.of('a').cut()
  await until(() => one.error(), 'a reset in a')
  two.say('x')
  await until(() => two.got() === 'x', 'an answer in b')
  await Promise.all([own.close('a'), own.close('b')])
  expect(() => own.of('a')).toThrow(/prepare/)
})

test("a door that is shut has died for the broker, the others live; all share the proxy's faults", async () => {
  const proxy = await start()
  const doors = Array.from({ length: 3 }, () => proxy.door())
  expect(new Set([proxy.port, ...doors.map(({ port }) => port)]).size).toBe(4)
  const [one, two, three] = await Promise.all(doors.map((door) => client(door)))
  doors[0]!.shut()
  await until(() => one!.error(), 'a reset of the first')
  const late = await client(doors[0]!)
  await until(() => late.error(), 'a reset of who comes to a shut door')
  two!.say('x')
  await until(() => two!.got() === 'x', 'the second to live')
  proxy.down()
  await until(() => two!.error() && three!.error(), 'all to be reset')
  expect((await client(doors[1]!)).error()).toBe('ECONNREFUSED')
  await proxy.up()
  const again = await client(doors[1]!)
  again.say('y')
  await until(() => again.got() === 'y', 'the second door to be open again')
})

test('doors are made ahead, again and again', async () => {
  const proxy = await start()
  const ports = new Set<number>()
  for (let n = 0; n < 40; n++) {
    ports.add(proxy.door().port)
    if (n % 4 === 0) await clock.turn()
    await until(() => true, '')
  }
  expect(ports.size).toBe(40)
})

test('the faults of a namespace: crash cuts off one adapter, also by what the suite wraps around it', async () => {
  const own = namespaceProxies(() => Promise.resolve(target))
  await own.prepare('a')
  const addresses: { host: string; port: number }[] = []
  const [first, second] = [1, 2].map(() =>
    own.open('a', (address) => {
      addresses.push(address)
      return memory()
    }),
  )
  const [one, two] = await Promise.all(addresses.map((address) => client(address)))
  await own.faults('a').crash(Object.create(Object.create(first!)) as typeof first & {})
  await until(() => one!.error(), 'the first to be cut off')
  two!.say('x')
  await until(() => two!.got() === 'x', 'the second to live')
  expect(() => own.faults('a').crash(memory())).toThrow(/made by open/)
  await own.faults('a').crash(second!)
  await until(() => two!.error(), 'the second to be cut off')
  await own.close('a')
})

test('the port of a proxy that is down is taken by no other proxy', async () => {
  const proxy = await start()
  proxy.down()
  await expect(faultProxy(target, { port: proxy.port })).rejects.toThrow(/is taken/)
  await proxy.up()
  await proxy.close()
  const next = await start({ port: proxy.port })
  const one = await client(next)
  one.say('x')
  await until(() => one.got() === 'x', 'the port to be free again')
})

test('a connection that is cut off just as it ends is gone on both sides', async () => {
  const closed: string[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    socket.on('close', () => closed.push('server'))
    socket.end('last words')
    cutOff(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as { port: number }).port, '127.0.0.1')
  sockets.add(socket)
  socket.on('error', () => {})
  socket.on('close', () => closed.push('client'))
  socket.resume()
  await until(() => closed.length === 2, 'both to close')
  server.close()
  await once(server, 'close')
})
