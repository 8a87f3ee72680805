// The command as a user runs it: a process of its own. And an application with dead letters for it to work with.
import { type Bus, channel, connect, consumer, trust } from 'polybus'
import type { WireMessage } from '@polybus/core'
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'

const BIN = join(import.meta.dirname, '../dist/bin.js')
/** No command may take longer: a broker that is not there is told within this. */
const LIMIT_MS = 15_000

export interface Ended {
  /** Null where it had to be killed. */
  readonly code: number | null
  readonly out: string
  readonly err: string
}
export type Child = ChildProcessByStdio<Writable, Readable, Readable>
export interface Surroundings {
  readonly env?: Readonly<Record<string, string>>
  readonly directory?: string
  readonly node?: readonly string[]
}

/** A folder without a configuration file. */
export const emptyFolder = (): string => mkdtempSync(join(tmpdir(), 'polybus-cli-'))
const nowhere = emptyFolder()

export function start(
  words: readonly string[],
  { env = {}, directory = nowhere, node = [] }: Surroundings = {},
): Child {
  const { POLYBUS_BROKER: _, ...inherited } = process.env
  return spawn(process.execPath, [...node, BIN, ...words], {
    cwd: directory,
    env: { ...inherited, NODE_NO_WARNINGS: '1', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
}

export async function ended(child: Child, input = '', limitMs = LIMIT_MS): Promise<Ended> {
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const timer = setTimeout(() => child.kill('SIGKILL'), limitMs)
  const over = new Promise<number | null>((resolve) => child.on('close', resolve))
  const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), over])
  clearTimeout(timer)
  return { code, out, err }
}

/** What it prints first, when it prints; nobody reads on. */
export async function firstOf(child: Child): Promise<Buffer> {
  const errors: Buffer[] = []
  const listen = (chunk: Buffer): void => void errors.push(chunk)
  child.stderr.on('data', listen)
  return new Promise((resolve, reject) => {
    child.once('close', (code) => reject(new Error(`it ended with ${code}: ${Buffer.concat(errors).toString()}`)))
    child.stdout.once('data', (chunk: Buffer) => {
      child.stdout.pause()
      child.stderr.off('data', listen)
      child.stderr.pause()
      resolve(chunk)
    })
  })
}

export const cli = (
  words: readonly string[],
  more: Surroundings & { input?: string; limitMs?: number } = {},
): Promise<Ended> => ended(start(words, more), more.input, more.limitMs)

export const lines = (text: string): readonly string[] => text.split('\n').filter((line) => line !== '')
export const parsed = (text: string): readonly any[] => lines(text).map((line) => JSON.parse(line))

// ---- the application

export interface Order {
  readonly id: string
  readonly customer: string
  readonly cents: number
}
export const orders = channel('orders', {
  schema: trust<Order>(),
  key: (order) => order.customer,
  groups: ['charge', 'email'],
})
export class CardDeclined extends Error {
  override name = 'CardDeclined'
}

export interface App {
  readonly bus: Bus
  readonly namespace: string
  /** What the command needs to find it. */
  readonly at: readonly string[]
  close(): Promise<void>
}

export async function app(url: string): Promise<App> {
  const namespace = `cli-${randomBytes(5).toString('hex')}`
  const bus = await connect({ broker: url, namespace, logger: false })
  await bus.prepare(orders)
  return { bus, namespace, at: ['--broker', url, '--namespace', namespace], close: () => bus.close() }
}

/** Published, tried, and given up: as real letters come about. */
export async function fail(bus: Bus, given: readonly Order[]): Promise<void> {
  let failed = 0
  const subscription = await bus.start(
    consumer(orders, 'charge', {
      retry: false,
      handler: ({ id, cents }) => {
        failed++
        throw cents < 0 ? new TypeError(`${id} is negative`) : new CardDeclined(`${id} has no money`)
      },
    }),
  )
  for (const order of given) await bus.publish(orders, order, { id: order.id, headers: { tenant: 'acme' } })
  await until(async () => failed >= given.length && (await count(bus)) >= given.length)
  await Promise.all(subscription.map((one) => one.stop()))
}

/** Letters by the thousand, without anybody having to fail. */
export async function put(bus: Bus, count: number, { bytes = 20, error = 'no money' } = {}): Promise<void> {
  const time = Date.parse('2025-01-31T12:00:00Z')
  const body = Buffer.from(JSON.stringify({ text: 'x'.repeat(bytes) }))
  function* letters(): Generator<WireMessage> {
    for (let index = 0; index < count; index++)
      yield {
        id: `m-${index}`,
        source: 'test',
        type: 'orders',
        time,
        key: `k-${index % 7}`,
        headers: [
          ['polybus-reason', 'attempts-exhausted'],
          ['polybus-error-name', 'CardDeclined'],
          ['polybus-error-message', error],
          ['polybus-attempt', '5'],
        ],
        body,
        contentType: 'application/json',
        dataSchema: undefined,
        correlationId: undefined,
        causationId: undefined,
      }
  }
  const { done } = await bus.deadLetters(orders, 'charge').restore(letters())
  if (done !== count) throw new Error(`${done} of ${count} letters were put`)
}

export const ids = async (bus: Bus): Promise<readonly string[]> => {
  const found: string[] = []
  for await (const { id } of bus.deadLetters(orders, 'charge').list()) found.push(id)
  return found
}
export const count = async (bus: Bus): Promise<number> => (await bus.stats(orders, 'charge')).deadLetters ?? 0

export async function until(met: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 30_000
  while (!(await met())) {
    if (Date.now() > end) throw new Error('it never happened')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
