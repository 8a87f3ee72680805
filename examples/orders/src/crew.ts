// The consumer processes, seen from their parent: it starts them, serves their requests, and kills some.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type HandOvers, watchHandOvers } from './hand-overs.ts'
import type { Ledger } from './ledger.ts'
import { type FromWorker, toRefusal, type ToWorker } from './protocol.ts'
import { groupOf, type Services } from './services.ts'

export interface Crew {
  readonly handOvers: HandOvers
  /** Kills the one that was at work last, by SIGKILL. Returns its number. */
  kill(): Promise<number>
  /** Another one begins, with the next number, which is returned. */
  join(): number
  /** In good order: what runs is finished. */
  stop(): Promise<void>
  /** Rejects when one ends that nobody ended. */
  readonly broken: Promise<never>
}

interface Member {
  readonly number: number
  readonly process: ChildProcess
  readonly exited: Promise<unknown>
  leaving: boolean
}

const STOP_LIMIT_MS = 30_000

/** Resolves when all receive. */
export async function openCrew(size: number, url: string, services: Services, ledger: Ledger): Promise<Crew> {
  const handOvers = watchHandOvers()
  let busy = 1
  let count = 0
  let breakOff: (error: Error) => void = () => {}
  const broken = new Promise<never>((_, reject) => (breakOff = reject))
  // Whoever waits for something else meanwhile hears of it later.
  broken.catch(() => {})
  const join = (): Member => {
    const number = ++count
    const child = fork(fileURLToPath(new URL('./worker.js', import.meta.url)))
    const answer = (message: ToWorker): void => {
      // Who was killed meanwhile hears nothing; the effect stays.
      if (child.connected) child.send(message, () => {})
    }
    child.on('message', (message: FromWorker) => {
      if (message.kind === 'saw') ledger.saw({ kind: message.event, group: message.group })
      if (message.kind === 'request') {
        const { id, service, order, key, attempt } = message
        busy = number
        handOvers.served(number, groupOf(service), order.customer)
        services[service](order, key, attempt).then(
          () => answer({ kind: 'answer', id }),
          (error: unknown) => answer({ kind: 'answer', id, error: toRefusal(error) }),
        )
      }
    })
    answer({ kind: 'start', url })
    const member: Member = { number, process: child, exited: once(child, 'exit'), leaving: false }
    child.on('error', breakOff)
    child.on('exit', (code, signal) => {
      if (!member.leaving) breakOff(new Error(`Process ${number} ended by itself, with ${signal ?? code}.`))
    })
    return member
  }
  let living = Array.from({ length: size }, join)

  const end = async (members: readonly Member[], how: (process: ChildProcess) => void): Promise<void> => {
    living = living.filter((member) => !members.includes(member))
    for (const member of members) {
      member.leaving = true
      how(member.process)
    }
    await Promise.all(members.map(({ exited }) => exited))
  }

  const crew: Crew = {
    handOvers,
    broken,
    async kill() {
      const victim = living.find(({ number }) => number === busy) ?? living[0]
      if (!victim) throw new Error('There is no process left to kill.')
      await end([victim], (process) => process.kill('SIGKILL'))
      handOvers.gone(victim.number)
      return victim.number
    },
    join() {
      const member = join()
      living = [...living, member]
      return member.number
    },
    async stop() {
      const members = living
      const timer = setTimeout(() => members.forEach(({ process }) => process.kill('SIGKILL')), STOP_LIMIT_MS)
      await end(members, (process) => process.connected && process.send({ kind: 'stop' } satisfies ToWorker))
      clearTimeout(timer)
    },
  }
  try {
    await Promise.race([Promise.all(living.map(isReady)), broken])
  } catch (error) {
    await crew.stop()
    throw error
  }
  return crew
}

const isReady = ({ process }: Member): Promise<void> =>
  new Promise((resolve) => {
    process.on('message', ({ kind }: FromWorker) => kind === 'ready' && resolve())
  })
