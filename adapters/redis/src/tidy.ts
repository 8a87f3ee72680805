// Keeps streams and lists of consumers from growing: what every group has finished is trimmed, dead members are forgotten.
import { script } from './connection.ts'
import type { Member } from './reader.ts'

const EVERY_MS = 5000
/** Streams are cut by whole nodes of some hundred entries, so this is little work. */
const LIMIT = 100_000
/** A consumer that holds nothing may be forgotten at any time: reading makes it anew. */
const FORGET_MS = 300_000

/** Every member looks now and then; whoever comes first in a while does it. */
export function keepTidy(
  { clock, link, layout, group, name, settings }: Member,
  lanes: () => readonly number[],
): { stop(): void } {
  const { keys } = layout
  let stopped = false
  let timer: { cancel(): void } | undefined
  const run = async (): Promise<void> => {
    for (const lane of lanes())
      await link.call(
        script(
          'tidy',
          [keys.stream(lane), keys.retry(group, lane), keys.meta],
          group,
          name,
          `tidied:${group}:${lane}`,
          EVERY_MS,
          settings.retentionMs,
          LIMIT,
          FORGET_MS,
          settings.trim ? '1' : '0',
        ),
      )
  }
  const again = (): void => {
    if (stopped) return
    timer = clock.timer(EVERY_MS * (0.75 + Math.random() / 2), () => {
      // What fails here fails in a receive as well, which says so; tidying is tried again.
      run().then(again, again)
    })
  }
  again()
  return {
    stop() {
      stopped = true
      timer?.cancel()
    },
  }
}
