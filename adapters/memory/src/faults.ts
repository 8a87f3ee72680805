// Failures on demand, so that the fault cases run without a network.
import type { Delivery, Outgoing, PolybusError, WireMessage } from '@polybus/core'
import type { Broker, Channel, Handed } from './state.ts'
import type { Writer } from './write.ts'
import { connectionFailed, feedBroken } from './errors.ts'
import { cut } from './connection.ts'
import { lose } from './feed.ts'
import { removeGroup, wakeGroup } from './groups.ts'
import { put, stampOf, wakeTouched } from './write.ts'

/** Faults of the broker that this adapter is connected to; all adapters of one name see them, unless said otherwise. */
export interface MemoryFaults {
  /** Drops every connection; every call rejects with `CONNECTION_FAILED` until `up()`. What was delivered goes back at once. */
  down(): void
  up(): void
  /** Drops every live connection once; `connect` works again at once. */
  cut(): void
  /** This adapter alone dies like a killed process: its leases are kept until they run out (a null lease: at once), its lanes go to others and stand still until then, and its calls reject with `CLOSED` from now on. */
  crash(): void
  /** Half-open: calls neither answer nor reject until `resume()` or until their signal aborts; a `receive` gives up after five seconds of silence. What was sent meanwhile is done at `resume`, as from a socket's buffer; a connection that ends before loses it. */
  pause(): void
  resume(): void
  /** Every answer takes so many milliseconds; 0 ends it. */
  late(ms: number): void
  /** Refuses entry by entry, for `send` and for the copy of a move. Returns an undo. */
  refuse(when: (outgoing: Outgoing) => PolybusError | undefined): () => void
  /** The next so many sends are written, then the connection is cut before the answer. Without `atomicMove` the copy of a move is a send. */
  loseAnswer(times: number): void
  /** Ends leases now, and calls `onLost`. Returns how many matched; in an owned lane the later deliveries are lost with them. */
  loseLease(match?: (delivery: Delivery) => boolean): number
  /** `receive` answers empty although there is a backlog. */
  stall(on: boolean): void
  /** The group, its position, retries and dead letters; its feeds reject with `FEED_BROKEN`. */
  deleteGroup(channel: string, group: string): void
  deleteChannel(channel: string): void
  /** A foreign producer's message, without an id of ours unless it is given. Throws where the channel is missing or full. */
  injectForeign(channel: string, message: Partial<WireMessage> & { readonly body: Uint8Array | null }): void
  /** A raw look, for tests. Empty where the group is missing. */
  deadLetters(channel: string, group: string): readonly WireMessage[]
}

/** `writer` finds channels in the adapter's namespace. */
export function createFaults(writer: Writer, crash: () => void): MemoryFaults {
  const { broker } = writer
  const { faults } = broker
  const cutAll = (): void => {
    for (const connection of faults.connections) cut(broker, connection)
  }
  const wakeAll = (): void => {
    for (const channel of broker.channels.values()) for (const group of channel.groups.values()) wakeGroup(group)
  }
  const remove = (channel: Channel, name: string): void => {
    const group = channel.groups.get(name)
    if (group) removeGroup(broker, group, feedBroken(`The group '${name}' of '${channel.name}' was deleted.`))
  }

  return {
    down() {
      faults.down = true
      cutAll()
    },
    up() {
      faults.down = false
    },
    cut: cutAll,
    crash,
    pause() {
      faults.paused = true
    },
    resume() {
      faults.paused = false
      for (const act of faults.buffer.splice(0)) act()
      wakeAll()
    },
    late(ms) {
      faults.lateMs = ms
    },
    refuse(when) {
      // One entry a call, even of the same function.
      const refusal = (outgoing: Outgoing): PolybusError | undefined => when(outgoing)
      faults.refusals.add(refusal)
      return () => void faults.refusals.delete(refusal)
    },
    loseAnswer(times) {
      faults.loseAnswers = times
    },
    loseLease(match = () => true) {
      let count = 0
      for (const channel of broker.channels.values())
        for (const group of channel.groups.values())
          for (const member of [...group.members, ...group.ghosts]) {
            const victims = matching(member.leases.first, match)
            count += victims.length
            if (victims.length > 0) lose(member, victims, broker)
          }
      return count
    },
    stall(on) {
      faults.stalled = on
      if (!on) wakeAll()
    },
    deleteGroup(channel, group) {
      const found = writer.find(channel)
      if (found) remove(found, group)
    },
    deleteChannel(name) {
      const channel = writer.find(name)
      if (!channel) return
      channel.deleted = true
      for (const [native, other] of broker.channels) if (other === channel) broker.channels.delete(native)
      for (const group of channel.groups.keys()) remove(channel, group)
    },
    injectForeign(channel, message) {
      const touched: Channel[] = []
      const to = { kind: 'channel', channel } as const
      const result = put(writer, { handover: 0, message: { ...FOREIGN, ...message }, to }, stampOf(broker), touched)
      if (!result.ok) throw result.error
      wakeTouched(touched)
    },
    deadLetters(channel, group) {
      const letters = writer.find(channel)?.groups.get(group)?.letters.values() ?? []
      return Array.from(letters, ({ message }) => message)
    },
  }
}

/** Why nobody answers a `connect`; undefined where somebody does. */
export const refusesConnection = ({ faults, name }: Broker): PolybusError | undefined =>
  faults.down ? connectionFailed(name, 'no') : undefined

const FOREIGN: Omit<WireMessage, 'body'> = {
  id: undefined,
  source: undefined,
  type: undefined,
  time: undefined,
  key: undefined,
  headers: [],
  contentType: undefined,
  dataSchema: undefined,
  correlationId: undefined,
  causationId: undefined,
}

function matching(first: Handed | undefined, match: (delivery: Delivery) => boolean): Handed[] {
  const found: Handed[] = []
  for (let item = first; item; item = item.next) if (match(item)) found.push(item)
  return found
}
