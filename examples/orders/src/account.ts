// What one group did with the orders.
import type { BusEvent, DeadLetter } from 'polybus'
import type { Purchase } from './purchases.ts'
import type { Served } from './services.ts'

export interface Account {
  /** @param latencyMs from the publish until now. */
  served(request: Served, latencyMs: number): void
  saw(event: BusEvent['kind']): void
  found(letters: readonly DeadLetter<Purchase>[]): void
  /** Orders, and malformed ones, that are handled or were seen to become a dead letter. */
  readonly done: number
  readonly deliveries: number
  readonly retries: number
  /** Orders handled, each counted once. */
  readonly handled: number
  /** Repeats that the group's store kept from the handler. */
  readonly absorbed: number
  /** Repeats that came as far as the service, which knew them by their key. */
  readonly repeated: number
  /** Effects that an order had beyond its first. */
  readonly again: number
  /** Orders that are neither handled nor a dead letter. */
  readonly lost: number
  /** Orders handled for the first time after a later one of the same customer. */
  readonly orderViolations: number
  /** In the dead letters when they were last looked at. */
  readonly letters: readonly DeadLetter<Purchase>[]
  /** Of orders handled for the first time, in milliseconds. */
  readonly latencies: Float64Array
  /** When the last delivery ended, on the clock of `performance.now()`. */
  readonly endedAt: number
}

/** @param customers the customer of every order. An order's number is its place in time among those of its customer. */
export function openAccount(orders: number, customers: Int32Array): Account {
  const isHandled = new Uint8Array(customers.length)
  const latest = new Map<number, number>()
  const excused = new Set<number>()
  const latencies = new Float64Array(orders)
  let letters: readonly DeadLetter<Purchase>[] = []
  let [deliveries, retries, handled, again, absorbed, repeated, dead, unread, orderViolations, endedAt] = [
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  ]

  /** Orders among the dead letters; a malformed one has no value. */
  const deadOrders = (): Set<number> => new Set(letters.flatMap(({ value }) => (value ? [value.number] : [])))

  return {
    served({ order, attempt, outcome }, latencyMs) {
      endedAt = performance.now()
      if (attempt === 1) deliveries++
      if (outcome === 'repeated') repeated++
      if (outcome !== 'done') return
      if (isHandled[order] === 1) {
        again++
        return
      }
      isHandled[order] = 1
      latencies[handled++] = latencyMs
      const customer = customers[order] ?? 0
      // What comes back from the dead letters has let others pass, as it must.
      if (excused.has(order)) return
      if (order < (latest.get(customer) ?? 0)) orderViolations++
      else latest.set(customer, order)
    },
    saw(event) {
      endedAt = performance.now()
      if (event === 'retry') retries++
      if (event === 'duplicate') absorbed++
      if (event === 'dead-letter') dead++
    },
    found(now) {
      letters = now
      for (const order of deadOrders()) excused.add(order)
      unread = Math.max(unread, now.filter(({ value }) => !value).length)
    },
    get done() {
      return handled + dead
    },
    get deliveries() {
      // Neither a duplicate nor what cannot be read comes to an attempt.
      return deliveries + absorbed + unread
    },
    get retries() {
      return retries
    },
    get handled() {
      return handled
    },
    get absorbed() {
      return absorbed
    },
    get repeated() {
      return repeated
    },
    get again() {
      return again
    },
    get lost() {
      return orders - handled - [...deadOrders()].filter((order) => isHandled[order] !== 1).length
    },
    get orderViolations() {
      return orderViolations
    },
    get letters() {
      return letters
    },
    get latencies() {
      return latencies.subarray(0, handled)
    },
    get endedAt() {
      return endedAt
    },
  }
}
