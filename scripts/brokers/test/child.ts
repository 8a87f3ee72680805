import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))

export interface Ended {
  readonly code: number | string | null
  readonly out: string
  readonly err: string
}

/** A program of `fixtures`, with the Node that runs this. */
export function runFixture(
  name: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<Ended> {
  return node([path(`./fixtures/${name}`), ...args], env)
}

export function spawnFixture(name: string, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  return spawn(process.execPath, [path(`./fixtures/${name}`), ...args], { env, stdio: ['ignore', 'pipe', 'inherit'] })
}

/** The command as `npm run brokers` runs it. */
export function brokersCli(args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Ended> {
  return node([path('../dist/cli.js'), ...args], env)
}

export function node(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, args, { env, timeout: 60_000 }, (_error, out, err) =>
      resolve({ code: child.exitCode, out, err }),
    )
  })
}
