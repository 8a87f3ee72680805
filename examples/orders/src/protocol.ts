// What a consumer process and its parent say to each other. The parent is the outside world.
import type { BusEvent } from 'polybus'
import type { Purchase } from './purchases.ts'
import { CardDeclined, GatewayTimeout, ProviderAway, type ServiceName } from './services.ts'

export type FromWorker =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'request'
      readonly id: number
      readonly service: ServiceName
      readonly order: Purchase
      readonly key: string
      readonly attempt: number
    }
  | { readonly kind: 'saw'; readonly event: BusEvent['kind']; readonly group: string }

export type ToWorker =
  | { readonly kind: 'start'; readonly url: string }
  /** Without an error it was done. */
  | { readonly kind: 'answer'; readonly id: number; readonly error?: Refusal }
  | { readonly kind: 'stop' }

export interface Refusal {
  readonly name: string
  readonly message: string
}

const REFUSALS = { CardDeclined, GatewayTimeout, ProviderAway }

export const toRefusal = (error: unknown): Refusal =>
  error instanceof Error ? { name: error.name, message: error.message } : { name: 'Error', message: String(error) }

/** As the class that the service threw: retry rules go by it. */
export function fromRefusal({ name, message }: Refusal): Error {
  const Known = name in REFUSALS ? REFUSALS[name as keyof typeof REFUSALS] : Error
  return new Known(message)
}
