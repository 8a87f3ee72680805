// @platformatic/kafka 2 beneath the client: its connections, its logins and its table of requests. Its producer and its consumer
// are not used (docs/decisions/0008-kafka-clients.md says why).
import type { Clock } from '@polybus/core'
import type { Wire } from '../engine/wire.ts'
import type { PlatformaticSettings } from '../options.ts'
import { openCluster } from './cluster.ts'

export const platformaticWire = (
  settings: PlatformaticSettings,
  clientId: string,
  timeoutMs: number,
  clock: Clock,
): Wire => ({
  open: (broker) => openCluster({ settings, clientId: settings.clientId ?? clientId, clock, timeoutMs }, broker),
  brokers: () => Promise.resolve(settings.brokers),
  hasLogin: settings.sasl !== undefined,
  // It has one for producing, one for consuming and one for the rest, and none for a cluster.
  native: undefined,
})
