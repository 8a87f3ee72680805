import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Looks again and again. Answers false where `limitMs` passed first.
 *
 * @throws the reason of the signal where it aborts.
 */
export async function until(
  condition: () => boolean | Promise<boolean>,
  limitMs: number,
  { signal, everyMs = 25 }: { signal?: AbortSignal | undefined; everyMs?: number } = {},
): Promise<boolean> {
  const end = performance.now() + limitMs
  for (;;) {
    signal?.throwIfAborted()
    if (await condition()) return true
    if (performance.now() >= end) return false
    await sleep(everyMs, undefined, signal && { signal })
  }
}
