// Bytes that go over the sockets of a contender, both ways. Every client here opens its sockets with `net`, which tells of each
// one; each counts for itself.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { type Contender, contendersOf, RAW_BARE, RAW_NAIVE, RAW_TUNED, type Ready } from './contenders.ts'
import { collector } from './heap.ts'
import { median } from './measure.ts'
import { pairedRatio, type Ratio } from './paired.ts'
import { purchasesOf } from './purchases.ts'
import { alternating, freshNames } from './rounds.ts'
import { shown, type Stage } from './stage.ts'
import { chosen, messagesOf, shareOf } from './throughput.ts'
import { trial } from './trial.ts'

export interface Bytes {
  /** To the server. */
  readonly sent: number
  readonly received: number
}
export interface WireRow extends Bytes {
  readonly direction: Contender['direction']
  readonly name: string
  readonly messages: number
  /** Of both ways together, to each of these. */
  readonly against: readonly (Ratio & { readonly name: string })[]
}
export interface Wire {
  readonly rounds: number
  readonly sizes: readonly { readonly bytes: number; readonly rows: readonly WireRow[] }[]
}

/** The numbers hardly differ from round to round. */
const ROUNDS = 3
/** A schema changes nothing on the wire, and how a naive client sends is its own affair. */
const LEFT_OUT = new Set([RAW_NAIVE, 'polybus + zod'])
const BASES = [RAW_TUNED, RAW_BARE]

export async function wire(stage: Stage): Promise<Wire> {
  const { broker, kind, url, raw, only, alone, sizes } = stage
  const rounds = Math.min(ROUNDS, stage.rounds)
  const contenders = chosen(contendersOf(kind), only, alone).filter(({ name }) => !LEFT_OUT.has(name))
  const fresh = freshNames()
  const measured = []
  for (const bytes of sizes) {
    const make = purchasesOf(bytes)
    const results = await alternating({ ...stage, rounds }, contenders, async (contender, round) => {
      const title = `${broker}, ${bytes} B, bytes of ${contender.direction} ${contender.name}, round ${round} of ${rounds}`
      shown(stage, title)
      const messages = shareOf(contender, messagesOf(stage, bytes))
      const counted = counting(contender)
      await trial(counted, { url, raw, channel: fresh(), make, messages }, title, collector())
      return { messages, ...counted.perMessage() }
    })
    measured.push({ bytes, rows: rowsOf(contenders, results) })
  }
  shown(stage, '')
  return { rounds, sizes: measured }
}

function rowsOf(
  contenders: readonly Contender[],
  results: ReadonlyMap<Contender, readonly (Bytes & { readonly messages: number })[]>,
): readonly WireRow[] {
  const both = (contender: Contender): readonly number[] =>
    (results.get(contender) ?? []).map(({ sent, received }) => sent + received)
  return contenders.map((contender) => {
    const { direction, name } = contender
    const rounds = results.get(contender) ?? []
    const bases = contenders.filter(
      (other) => other !== contender && other.direction === direction && BASES.includes(other.name),
    )
    return {
      direction,
      name,
      messages: rounds[0]?.messages ?? 0,
      sent: median(rounds.map(({ sent }) => sent)),
      received: median(rounds.map(({ received }) => received)),
      against: bases.map((base) => ({ name: base.name, ...pairedRatio(both(contender), both(base)) })),
    }
  })
}

/** The same, counted from its run to its end: a publisher is connected by then, a consumer connects, joins, settles and leaves. */
function counting(contender: Contender): Pick<Contender, 'prepare'> & { perMessage(): Bytes } {
  let total: Bytes = { sent: NaN, received: NaN }
  return {
    perMessage: () => total,
    async prepare(ground): Promise<Ready> {
      const sockets = watchSockets()
      const ready = await contender.prepare(ground).catch((error: unknown) => {
        sockets.end()
        throw error
      })
      const before = { sent: 0, received: 0 }
      // Of a publisher those that warm up are counted too.
      const messages = Math.max(ready.left, ground.messages)
      return {
        left: ready.left,
        run() {
          Object.assign(before, sockets.read())
          return ready.run()
        },
        async close() {
          await ready.close().finally(sockets.end)
          const after = sockets.read()
          total = {
            sent: (after.sent - before.sent) / messages,
            received: (after.received - before.received) / messages,
          }
        },
      }
    },
  }
}

export interface SocketWatch {
  /** Of all sockets that this process has opened since. */
  read(): Bytes
  /** No more sockets; those that are known are still read. */
  end(): void
}

export function watchSockets(): SocketWatch {
  const sockets = new Set<Socket>()
  const opened = (message: unknown): void => void sockets.add((message as { readonly socket: Socket }).socket)
  subscribe('net.client.socket', opened)
  return {
    read: () => ({
      sent: sum(sockets, ({ bytesWritten }) => bytesWritten),
      received: sum(sockets, ({ bytesRead }) => bytesRead),
    }),
    end: () => void unsubscribe('net.client.socket', opened),
  }
}

const sum = (sockets: Iterable<Socket>, of: (socket: Socket) => number): number =>
  Array.from(sockets, of).reduce((total, count) => total + count, 0)
