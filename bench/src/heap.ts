// Memory over a long run: the heap after a full collection, ten times on the way.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Scenario } from './measure.ts'

export interface HeapSample {
  readonly messages: number
  readonly heapBytes: number
}

const STEPS = 10

/** A full collection, at will. */
export function collector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}

export async function heapOver(
  scenario: Scenario,
  messages: number,
  progress: (text: string) => void,
): Promise<readonly HeapSample[]> {
  const collect = collector()
  const { run, close } = await scenario.prepare()
  const samples: HeapSample[] = []
  for (let step = 1; step <= STEPS; step++) {
    await run(Math.ceil(messages / STEPS))
    collect()
    samples.push({ messages: step * Math.ceil(messages / STEPS), heapBytes: process.memoryUsage().heapUsed })
    progress(`\r\u001b[K${step * 10} %`)
  }
  progress('\r\u001b[K')
  await close()
  return samples
}
