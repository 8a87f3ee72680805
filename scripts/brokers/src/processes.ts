// Processes by pid and birth: a pid alone may belong to somebody else by now.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { until } from './wait.ts'

export interface ProcessRef {
  readonly pid: number
  /** When it was born, in the system's own words: no other process with this pid has it. */
  readonly born: string
}

interface Seen {
  readonly born: string
  readonly state: 'running' | 'paused'
}

/** The process as it is now; undefined where it is gone. */
export function refOf(pid: number): ProcessRef | undefined {
  const seen = look(pid)
  return seen && { pid, born: seen.born }
}

/** @throws {Error} where the system does not tell of our own process. */
export function self(): ProcessRef {
  const ref = refOf(process.pid)
  if (!ref) throw new Error(`The system does not tell when process ${process.pid} started.`)
  return ref
}

export function stateOf({ pid, born }: ProcessRef): 'running' | 'paused' | 'gone' {
  const seen = look(pid)
  return seen?.born === born ? seen.state : 'gone'
}

/** Sends the signal only where the pid is still that process. Answers whether it was. */
export function send(ref: ProcessRef, signal: NodeJS.Signals): boolean {
  if (stateOf(ref) === 'gone') return false
  try {
    process.kill(ref.pid, signal)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

const PAUSE_LIMIT_MS = 2000

/** By SIGSTOP. Answers when it stands, and whether it was there: its threads stop one by one, and until then they answer. */
export function pause(ref: ProcessRef): boolean {
  if (!send(ref, 'SIGSTOP')) return false
  const end = performance.now() + PAUSE_LIMIT_MS
  const nothing = new Int32Array(new SharedArrayBuffer(4))
  while (!standsStill(ref.pid) && performance.now() < end) Atomics.wait(nothing, 0, 0, 1)
  return true
}

function standsStill(pid: number): boolean {
  // Elsewhere the system does not tell of threads.
  if (!LINUX) return true
  try {
    return readdirSync(`/proc/${pid}/task`).every((thread) =>
      'TtZX'.includes(fieldsOf(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1'))[0] ?? ''),
    )
  } catch {
    // One of them ended just now.
    return false
  }
}

/** Asks it to end; after `limitMs` it is killed. */
export async function end(ref: ProcessRef, signal: NodeJS.Signals, limitMs: number): Promise<void> {
  send(ref, signal)
  // A stopped process sees SIGTERM only when it goes on.
  send(ref, 'SIGCONT')
  if (await until(() => stateOf(ref) === 'gone', limitMs)) return
  send(ref, 'SIGKILL')
  if (!(await until(() => stateOf(ref) === 'gone', 10_000)))
    throw new Error(`Process ${ref.pid} does not end, not even by SIGKILL.`)
}

/** Processes whose parent it is, at this moment. */
export function childrenOf({ pid }: ProcessRef): readonly ProcessRef[] {
  const pids = LINUX
    ? readdirSync('/proc').filter((name) => /^\d+$/.test(name) && parentInProc(name) === pid)
    : execFileSync('ps', ['-A', '-o', 'ppid=,pid='], { encoding: 'utf8' })
        .split('\n')
        .map((line) => line.trim().split(/\s+/))
        .filter(([parent]) => Number(parent) === pid)
        .map(([, child]) => child)
  return pids.flatMap((child) => refOf(Number(child)) ?? [])
}

function parentInProc(pid: string): number | undefined {
  try {
    return Number(fieldsOf(readFileSync(`/proc/${pid}/stat`, 'latin1'))[1])
  } catch {
    // It ended just now.
    return undefined
  }
}

const LINUX = existsSync('/proc/self/stat')
let boot: string | undefined

function look(pid: number): Seen | undefined {
  return LINUX ? lookInProc(pid) : askPs(pid)
}

function lookInProc(pid: number): Seen | undefined {
  let text
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return undefined
  }
  const fields = fieldsOf(text)
  const [state = '', threads, ticks] = [fields[0], fields[17], fields[19]]
  // A zombie is gone: in a container whose first process reaps nobody it stays for ever. But the state is that of the first
  // thread, and while others of a killed process are still ending, its ports are open.
  if (ticks === undefined || ('ZXx'.includes(state) && Number(threads) <= 1)) return undefined
  boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8)
  return { born: `${boot}-${ticks}`, state: state === 'T' ? 'paused' : 'running' }
}

/** From the state on: the name before it, in parentheses, may hold anything, blanks and parentheses too. */
function fieldsOf(stat: string): readonly string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

function askPs(pid: number): Seen | undefined {
  try {
    const out = execFileSync('ps', ['-o', 'state=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
    const [state = '', ...born] = out.split(/\s+/)
    if (born.length === 0 || state.startsWith('Z')) return undefined
    return { born: born.join(' '), state: state.startsWith('T') ? 'paused' : 'running' }
  } catch {
    return undefined
  }
}
