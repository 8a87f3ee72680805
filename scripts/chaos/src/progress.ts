// How far a run is, on a terminal and nowhere else.
import { WHAT } from './report.ts'
import type { Fault } from './schedule.ts'

export interface Progress {
  fault(fault: Fault): void
  /** After the faults: what is waited for. */
  phase(text: string): void
  end(): void
}

const BAR = 30

export function drawProgress(durationMs: number): Progress {
  const { stderr } = process
  if (!stderr.isTTY) return { fault() {}, phase() {}, end() {} }
  const start = performance.now()
  let text = ''
  const draw = (): void => {
    const done = Math.min(1, (performance.now() - start) / durationMs)
    const bar = '█'.repeat(Math.floor(done * BAR)).padEnd(BAR, '░')
    stderr.write(`\r\x1b[K${bar} ${Math.floor(done * 100)} %  ${text}`)
  }
  const timer = setInterval(draw, 200)
  return {
    fault({ kind, target }) {
      text = `${WHAT[kind]}${target > 0 ? ` (${target})` : ''}`
    },
    phase(now) {
      text = now
    },
    end() {
      clearInterval(timer)
      stderr.write('\r\x1b[K')
    },
  }
}
