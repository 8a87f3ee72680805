// What a publisher has done, in a file that outlives it: a line before a publish, and one when the broker has confirmed it.
import { closeSync, existsSync, fdatasyncSync, openSync, readFileSync, writeSync } from 'node:fs'

export interface Confirmed {
  /** Milliseconds since 1970. */
  readonly at: number
  /** The process. */
  readonly by: string
}
export interface Journal {
  /** Written when it returns. */
  started(seq: number): void
  /** On disk within the turn of the event loop. */
  confirmed(seq: number): void
  close(): void
}
export interface Kept {
  readonly started: ReadonlySet<number>
  readonly confirmed: ReadonlyMap<number, Confirmed>
}

/** A line that ends before its `;` was being written when its writer died, and says nothing. */
const LINE = /^(?:s (\d+)|c (\d+) (\d+) (\S+));$/

export function openJournal(file: string, by: string): Journal {
  const fd = openSync(file, 'a')
  // After what the predecessor could not finish.
  writeSync(fd, '\n')
  let waiting = ''
  const flush = (): void => {
    if (waiting === '') return
    writeSync(fd, waiting)
    waiting = ''
    fdatasyncSync(fd)
  }
  return {
    started: (seq) => void writeSync(fd, `s ${seq};\n`),
    confirmed(seq) {
      if (waiting === '') setImmediate(flush)
      waiting += `c ${seq} ${Date.now()} ${by};\n`
    },
    close() {
      flush()
      closeSync(fd)
    },
  }
}

export function readJournal(file: string): Kept {
  const started = new Set<number>()
  const confirmed = new Map<number, Confirmed>()
  for (const line of existsSync(file) ? readFileSync(file, 'latin1').split('\n') : []) {
    const [, start, seq, at, by] = LINE.exec(line) ?? []
    if (start !== undefined) started.add(Number(start))
    if (seq !== undefined && at !== undefined && by !== undefined && !confirmed.has(Number(seq)))
      confirmed.set(Number(seq), { at: Number(at), by })
  }
  return { started, confirmed }
}
