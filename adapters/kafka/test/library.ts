// Which client library the tests of this file's process use: kafkajs, unless one in platformatic/ said otherwise.
import type { ConnectionOptions } from 'node:tls'
import type { SASLOptions } from 'kafkajs'
import type { KafkaOptions } from '../src/index.ts'
import { socketOf } from '../src/kafkajs/cluster.ts'

export type Library = 'kafkajs' | 'platformatic'

let used: Library = 'kafkajs'
export const library = (): Library => used
export const useLibrary = (name: Library): void => void (used = name)

export interface Via {
  readonly brokers?: string[]
  /** Every connection goes there, whatever address a broker tells. */
  readonly to?: { readonly host: string; readonly port: number }
  readonly ssl?: boolean | ConnectionOptions
  readonly sasl?: SASLOptions
}

/** The settings of a library in its own form. */
export function via({ to, ...same }: Via = {}, name: Library = used): KafkaOptions['client'] {
  if (name === 'platformatic') return { kind: name, ...(to && { addressOf: () => to }), ...same }
  return { ...(to && { socketFactory: (args) => socketOf({ ...args, ...to }) }), ...same }
}
