// What a feed has delivered and is not settled, in the order in which it came.
import type { Flight } from './flight.ts'

export interface Held {
  add(flight: Flight): void
  /** False where it is not there any more. */
  remove(flight: Flight): boolean
  /** The one that holds a token that can be told from its equals: see `Delivery.token`. */
  twin(token: unknown): Flight | undefined
  /** Of these tokens those that are held, oldest first. */
  find(tokens: readonly unknown[]): readonly Flight[]
  /** Oldest first. */
  all(): readonly Flight[]
  readonly size: number
}

const isObject = (token: unknown): boolean => typeof token === 'object' && token !== null

/**
 * A linked list. A Map from tokens would cost more than all else that is kept of a message: it makes its tables anew all the
 * time, and an old one that has outlived the collections of young objects keeps alive all that it held.
 */
export function createHeld(): Held {
  /** Only for tokens that are no objects: an object is made for its hand-over and never comes again. */
  const named = new Map<unknown, Flight>()
  let first: Flight | undefined
  let last: Flight | undefined
  let size = 0

  return {
    add(flight) {
      const { token } = flight.delivery
      flight.held = true
      flight.heldPrevious = last
      if (last) last.heldNext = flight
      else first = flight
      last = flight
      size++
      if (!isObject(token)) named.set(token, flight)
    },
    remove(flight) {
      if (!flight.held) return false
      const { heldPrevious, heldNext } = flight
      if (heldPrevious) heldPrevious.heldNext = heldNext
      else first = heldNext
      if (heldNext) heldNext.heldPrevious = heldPrevious
      else last = heldPrevious
      flight.heldPrevious = flight.heldNext = undefined
      flight.held = false
      size--
      const { token } = flight.delivery
      if (named.size > 0 && named.get(token) === flight) named.delete(token)
      return true
    },
    twin: (token) => (named.size > 0 ? named.get(token) : undefined),
    find(tokens) {
      const found: Flight[] = []
      const wanted = tokens.length > 1 ? new Set(tokens) : undefined
      for (let flight = first; flight; flight = flight.heldNext)
        if (wanted ? wanted.has(flight.delivery.token) : flight.delivery.token === tokens[0]) found.push(flight)
      return found
    },
    all() {
      const flights: Flight[] = []
      for (let flight = first; flight; flight = flight.heldNext) flights.push(flight)
      return flights
    },
    get size() {
      return size
    },
  }
}
