// What a process is told by its parent, once, and what both say later.
import type { Access } from './access.ts'
import type { StorePlace } from './ledger.ts'

export interface PublisherOrders {
  readonly access: Access
  readonly namespace: string
  readonly name: string
  /** From 0. */
  readonly index: number
  readonly publishers: number
  /** Purchases a second. */
  readonly rate: number
  readonly journal: string
}
export interface ConsumerOrders {
  readonly access: Access
  readonly namespace: string
  readonly name: string
  readonly store: StorePlace
  /** A byte for each duplicate that the store absorbed. */
  readonly absorbed: string
}
export type ToChild<Orders> = { readonly kind: 'start'; readonly orders: Orders } | { readonly kind: 'stop' }
export type FromChild = { readonly kind: 'ready' }
