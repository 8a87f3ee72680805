// What AMQP does not do: users, alarms, and what the server has not yet written down.
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { RunningBroker } from '@polybus/brokers'

/** rabbitmqctl of a server that runs natively or in a container; undefined: it can't be had. `input`: what it reads. */
export function control(
  broker: RunningBroker,
): ((args: readonly string[], input?: string) => Promise<string>) | undefined {
  const folder = dirname(dirname(broker.log))
  if (!existsSync(join(folder, 'state.json'))) return undefined
  const { by, ports } = JSON.parse(readFileSync(join(folder, 'state.json'), 'utf8')) as {
    by: string
    ports: Record<string, number>
  }
  if (by !== 'native') {
    const inside = ['compose', '--project-name', `polybus-${basename(dirname(folder))}`, 'exec', '--no-TTY', 'rabbitmq']
    return (args, input) => run(by, [...inside, 'rabbitmqctl', ...args], { ...process.env }, input)
  }
  const program = '/usr/lib/rabbitmq/bin/rabbitmqctl'
  if (!existsSync(program)) return undefined
  const env = {
    ...process.env,
    HOME: join(folder, 'data'),
    ERL_EPMD_PORT: String(ports['epmd']),
    ERL_EPMD_ADDRESS: '127.0.0.1',
  }
  return (args, input) => run(program, ['-n', 'polybus@localhost', ...args], env, input)
}

async function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv, input?: string): Promise<string> {
  // Where docker-compose.yml is.
  const cwd = fileURLToPath(new URL('../../../', import.meta.url))
  const running = promisify(execFile)(program, args, { env, cwd, timeout: 30_000 })
  running.child.stdin?.end(input)
  return (await running).stdout
}

export interface Rights {
  readonly configure: string
  readonly write: string
  readonly read: string
}
export const PASSWORD = 'right-s3cret'

/** Users of the virtual host `/`, in one step. */
export async function admit(
  ctl: NonNullable<ReturnType<typeof control>>,
  users: Readonly<Record<string, Rights>>,
): Promise<void> {
  const salt = randomBytes(4)
  const hash = createHash('sha256').update(salt).update(PASSWORD).digest()
  const definitions = {
    users: Object.keys(users).map((name) => ({
      name,
      password_hash: Buffer.concat([salt, hash]).toString('base64'),
      hashing_algorithm: 'rabbit_password_hashing_sha256',
      tags: '',
    })),
    permissions: Object.entries(users).map(([user, rights]) => ({ user, vhost: '/', ...rights })),
  }
  await ctl(['import_definitions'], JSON.stringify(definitions))
}
