// Which library the client works over.
import type { Clock } from '@polybus/core'
import type { Client } from './client.ts'
import { createClient } from './engine/client.ts'
import type { Wire } from './engine/wire.ts'
import { kafkajsWire } from './kafkajs/index.ts'
import type { Settings } from './options.ts'
import { platformaticWire } from './platformatic/index.ts'

export const openClient = (settings: Settings, clock: Clock, clientId: string): Client =>
  createClient(wireOf(settings, clientId, clock), settings, clock)

function wireOf({ client, commandTimeoutMs }: Settings, clientId: string, clock: Clock): Wire {
  return client.kind === 'platformatic'
    ? platformaticWire(client, clientId, commandTimeoutMs, clock)
    : kafkajsWire(client, clientId, commandTimeoutMs)
}
