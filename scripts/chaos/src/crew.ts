// Processes of one kind, seen from their parent: they are killed, and others come in their place.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FromChild, ToChild } from './protocol.ts'

export interface Crew {
  /** Resolves when all are at work, or have ended. */
  readonly ready: Promise<void>
  /** By SIGKILL. Resolves with its name when it is gone. */
  kill(target: number): Promise<string>
  /** Starts another one in its place. Answers its name. */
  replace(target: number): string
  /** In good order. Answers who had to be killed, because it did not end within the limit. */
  stop(limitMs: number): Promise<readonly string[]>
  /** All at once, by SIGKILL. */
  end(): Promise<void>
  /** Who ended by itself, and how. */
  readonly casualties: readonly string[]
}

export interface CrewOptions<Orders> {
  readonly program: 'publisher' | 'consumer'
  readonly size: number
  /** For what they print: a file for each. */
  readonly logs: string
  /** @param index from 0 */
  orders(name: string, index: number): Orders
}

interface Member {
  readonly name: string
  readonly process: ChildProcess
  readonly exited: Promise<unknown>
  readonly ready: Promise<unknown>
  leaving: boolean
}

export function openCrew<Orders>({ program, size, logs, orders }: CrewOptions<Orders>): Crew {
  const casualties: string[] = []
  const generations = new Map<number, number>()
  const members = new Map<number, Member>()

  const begin = (target: number): Member => {
    const generation = (generations.get(target) ?? 0) + 1
    generations.set(target, generation)
    const name = `${program}-${target}.${generation}`
    const output = openSync(join(logs, `${name}.log`), 'a')
    const child = fork(fileURLToPath(new URL(`./${program}.js`, import.meta.url)), {
      stdio: ['ignore', output, output, 'ipc'],
    })
    closeSync(output)
    const exited = once(child, 'exit')
    const ready = new Promise<void>((resolve) => {
      child.on('message', ({ kind }: FromChild) => kind === 'ready' && resolve())
    })
    const member: Member = { name, process: child, exited, ready: Promise.race([ready, exited]), leaving: false }
    child.on('exit', (code, signal) => {
      if (!member.leaving) casualties.push(`${name} ended by itself, with ${signal ?? `code ${code}`}`)
    })
    tell(member, { kind: 'start', orders: orders(name, target - 1) })
    members.set(target, member)
    return member
  }
  const tell = ({ process }: Member, message: ToChild<Orders>): void => {
    // Who was killed meanwhile hears nothing.
    if (process.connected) process.send(message, () => {})
  }
  const killed = async (member: Member): Promise<void> => {
    member.leaving = true
    member.process.kill('SIGKILL')
    await member.exited
  }
  const first = Array.from({ length: size }, (_, index) => begin(index + 1))

  return {
    casualties,
    ready: Promise.all(first.map(({ ready }) => ready)).then(() => {}),
    async kill(target) {
      const member = members.get(target)
      if (!member) throw new Error(`There is no ${program} ${target}.`)
      await killed(member)
      return member.name
    },
    replace: (target) => begin(target).name,
    async stop(limitMs) {
      const late: string[] = []
      const stop = async (member: Member): Promise<void> => {
        member.leaving = true
        tell(member, { kind: 'stop' })
        const timer = setTimeout(() => {
          late.push(member.name)
          member.process.kill('SIGKILL')
        }, limitMs)
        if (member.process.exitCode === null && member.process.signalCode === null) await member.exited
        clearTimeout(timer)
      }
      await Promise.all([...members.values()].map(stop))
      return late
    },
    async end() {
      const alive = [...members.values()].filter(
        ({ process }) => process.exitCode === null && process.signalCode === null,
      )
      await Promise.all(alive.map(killed))
    },
  }
}
