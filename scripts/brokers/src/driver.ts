import type { ProcessRef } from './processes.ts'

export type Status = 'running' | 'paused' | 'stopped'

/** How an instance is started and stopped: natively, or by compose. Nothing here is locked; `broker.ts` does that. */
export interface Driver {
  status(): Promise<Status>
  /** Resolves when it answers. */
  start(signal: AbortSignal | undefined): Promise<Readonly<Record<string, ProcessRef>>>
  stop(): Promise<void>
  kill(): Promise<void>
  pause(): void
  resume(): void
  /** Of a stopped one: whatever lies outside its folder. */
  remove(): Promise<void>
}
