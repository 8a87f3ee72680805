// A TCP proxy before a real broker, to break what lies between: tests connect to it instead of the broker.
import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { type Clock, sleep, systemClock } from '@polybus/core'
import { type Link, link, type Wish } from './proxy-link.ts'
import type { Weather } from './proxy-pipe.ts'
import { reserve } from './proxy-port.ts'
import { cutOff } from './proxy-reset.ts'

/** One more port of a proxy, for one client. */
export interface Door {
  readonly host: string
  readonly port: number
  /** Resets what came in here, and refuses for good: to who is behind it the client has died. */
  shut(): void
}

export interface FaultProxy {
  readonly host: string
  readonly port: number
  /** A port of its own for one client, so that it alone can be cut off. All faults of the proxy hold for it too. */
  door(): Door
  /** Live connections. */
  readonly connections: number
  /** Answers that were swallowed since the start. */
  readonly answersCut: number
  /** Resets every live connection, once. */
  cut(): void
  /** Resets all, and refuses new ones until {@link FaultProxy.up}. */
  down(): void
  /** Resolves when connections are accepted again. */
  up(): Promise<void>
  /** Half-open: nothing passes either way, and connections stay. What was sent meanwhile passes at {@link FaultProxy.resume}. */
  pause(): void
  resume(): void
  /** Everything arrives so much later, each way. 0 ends it. */
  delay(ms: number): void
  /** So many bytes a second for each connection, each way. Null ends it. */
  throttle(bytesPerSecond: number | null): void
  /**
   * The next `times` times the server answers a request, the answer is swallowed and the connection cut, after the server has
   * read the request. Which requests count says {@link FaultProxyOptions.isSend}. 0 ends it.
   */
  cutAnswers(times: number): void
  close(): Promise<void>
}

export interface FaultProxyOptions {
  /** Default 127.0.0.1. */
  readonly host?: string
  /** Default: a free one outside of the range that systems hand out for outgoing connections. */
  readonly port?: number
  /** More are refused. Default 1,000. */
  readonly maxConnections?: number
  /**
   * Which bytes of a client are a send whose answer {@link FaultProxy.cutAnswers} may swallow. It sees each chunk, with the
   * last bytes of the one before. Default: any.
   *
   * @example
   * const redis = { isSend: (bytes: Buffer) => bytes.includes('xadd') || bytes.includes('XADD') }
   * const amqp = { isSend: (bytes: Buffer) => bytes.includes(Buffer.of(0, 60, 0, 40)) } // basic.publish
   */
  readonly isSend?: (bytes: Buffer) => boolean
  readonly clock?: Clock
}

interface OwnDoor extends Door {
  readonly server: Server
  /** Gives the port's number back. */
  release(): void
}

/**
 * Outgoing connections take their ports from 32768 up: one of those could be taken while the proxy is down. Below are the
 * ports of brokers that tests start, which must not be taken while one of them is down.
 */
const PORTS = { first: 25_000, count: 7_000 }
const TRIES = 100
const UP_MS = 5000
/** Doors that wait to be asked for: who asks cannot wait. */
const READY = 8

/**
 * Starts a proxy to a TCP server. It keeps back-pressure: what the server or a client does not take waits with its sender.
 * Close it; it does not keep the process alive by itself.
 *
 * @throws {Error} where no port is free.
 * @example
 * const proxy = await faultProxy({ host: '127.0.0.1', port: 6379 })
 * const bus = await connect({ broker: `redis://${proxy.host}:${proxy.port}` })
 * proxy.down()
 * // publishes wait
 * await proxy.up()
 * await proxy.close()
 */
export async function faultProxy(
  target: { readonly host: string; readonly port: number },
  options: FaultProxyOptions = {},
): Promise<FaultProxy> {
  const { host = '127.0.0.1', maxConnections = 1000, isSend = () => true, clock = systemClock() } = options
  const links = new Set<Link>()
  const doors = new Set<OwnDoor>()
  const ready: OwnDoor[] = []
  const weather: { -readonly [K in keyof Weather]: Weather[K] } = { held: false, delayMs: 0, bytesPerSecond: null }
  let isUp = true
  let closed = false
  let toCut = 0
  let answersCut = 0
  const wish: Wish = {
    wanted: (bytes) => toCut > 0 && isSend(bytes),
    granted() {
      if (toCut === 0) return false
      toCut--
      answersCut++
      return true
    },
  }

  const makeDoor = (port: number, release: () => void): OwnDoor => {
    const own = new Set<Link>()
    let shut = false
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (client) => {
      client.on('error', () => {})
      if (shut || !isUp || links.size >= maxConnections) return cutOff(client)
      const one = link(client, connect({ ...target, allowHalfOpen: true, noDelay: true }), clock, weather, wish, () => {
        links.delete(one)
        own.delete(one)
      })
      links.add(one)
      own.add(one)
    })
    server.on('error', () => {})
    server.unref()
    return {
      host,
      port,
      server,
      release,
      shut() {
        shut = true
        for (const one of own) one.reset()
      },
    }
  }
  const listen = async ({ server, port }: OwnDoor): Promise<boolean> => {
    server.listen({ host, port, exclusive: true })
    try {
      await once(server, 'listening')
      if (!isUp || closed) server.close()
      return true
    } catch (error) {
      if ((error as { code?: unknown }).code === 'EADDRINUSE') return false
      throw error
    }
  }
  const open = async (wanted?: number): Promise<OwnDoor> => {
    for (let tries = 0; tries < TRIES; tries++) {
      const port = wanted ?? PORTS.first + Math.floor(Math.random() * PORTS.count)
      const release = await reserve(host, port)
      if (release) {
        const made = makeDoor(port, release)
        if (await listen(made)) {
          doors.add(made)
          return made
        }
        release()
      }
      if (wanted !== undefined) throw new Error(`Port ${wanted} of ${host} is taken.`)
    }
    throw new Error(`No free port was found on ${host}.`)
  }
  let filling = false
  const fill = async (): Promise<void> => {
    if (filling) return
    filling = true
    while (ready.length < READY && isUp && !closed) ready.push(await open())
    filling = false
  }

  const main = await open(options.port)
  await fill()

  return {
    host,
    port: main.port,
    door() {
      const made = ready.shift()
      if (!made) throw new Error('No port is ready: too many at once, or the proxy is down.')
      fill().catch(() => (filling = false))
      return made
    },
    get connections() {
      return links.size
    },
    get answersCut() {
      return answersCut
    },
    cut,
    down() {
      isUp = false
      for (const { server } of doors) server.close()
      cut()
    },
    async up() {
      if (isUp || closed) return
      isUp = true
      const end = clock.now() + UP_MS
      for (const each of doors) {
        while (!(await listen(each))) {
          if (clock.now() > end) throw new Error(`Port ${each.port} of ${host} was taken while the proxy was down.`)
          await sleep(clock, 50)
        }
      }
      await fill()
    },
    pause() {
      weather.held = true
      look()
    },
    resume() {
      weather.held = false
      look()
    },
    delay(ms) {
      weather.delayMs = ms
      look()
    },
    throttle(bytesPerSecond) {
      weather.bytesPerSecond = bytesPerSecond
      look()
    },
    cutAnswers(times) {
      toCut = times
    },
    async close() {
      closed = true
      cut()
      await Promise.all(
        [...doors].map(async ({ server, release }) => {
          release()
          if (!server.listening) return
          const over = once(server, 'close')
          server.close()
          await over
        }),
      )
    },
  }

  function look(): void {
    for (const each of links) each.look()
  }
  function cut(): void {
    for (const each of links) each.reset()
  }
}
