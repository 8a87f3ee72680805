// A lock between processes: a file that names its holder. The lock of a dead holder is nobody's.
import { randomUUID } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { type ProcessRef, self, stateOf } from './processes.ts'
import { until } from './wait.ts'

/**
 * Runs the work while no other process, and nothing else in this one, holds the lock.
 *
 * @throws {Error} naming the holder where it is not free within `limitMs`.
 */
export async function locked<T>(
  file: string,
  work: () => Promise<T>,
  { limitMs, signal }: { limitMs: number; signal?: AbortSignal | undefined },
): Promise<T> {
  const mine = JSON.stringify({ ...self(), token: randomUUID() })
  if (!(await until(() => take(file, mine), limitMs, { signal }))) {
    const holder = read(file)
    throw new Error(`${file} is held by process ${holder ? refIn(holder)?.pid : 'unknown'} for longer than expected.`)
  }
  try {
    return await work()
  } finally {
    // Only our own: whoever took us for dead has it now.
    if (read(file) === mine) rmSync(file, { force: true })
  }
}

function take(file: string, mine: string): boolean {
  const holder = read(file)
  if (holder !== undefined) {
    const ref = refIn(holder)
    if (ref && stateOf(ref) !== 'gone') return false
    breakLock(file, holder)
  }
  // A link appears with its content, or fails where the file is there: a plain write could be read half done.
  const draft = `${file}.${randomUUID()}`
  mkdirSync(dirname(file), { recursive: true })
  try {
    writeFileSync(draft, mine)
    linkSync(draft, file)
    return true
  } catch (error) {
    // ENOENT: whoever had it last removed the folder just now.
    if (['EEXIST', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) return false
    throw error
  } finally {
    rmSync(draft, { force: true })
  }
}

function breakLock(file: string, dead: string): void {
  const aside = `${file}.${randomUUID()}`
  try {
    renameSync(file, aside)
    // Somebody was faster, and this is already the next holder's.
    if (read(aside) !== dead) linkSync(aside, file)
  } catch (error) {
    if (!['ENOENT', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  } finally {
    rmSync(aside, { force: true })
  }
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function refIn(text: string): ProcessRef | undefined {
  try {
    const { pid, born } = JSON.parse(text) as Partial<ProcessRef>
    return pid !== undefined && born !== undefined ? { pid, born } : undefined
  } catch {
    return undefined
  }
}
