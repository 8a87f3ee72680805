// PostgreSQL, with its own settings for safety: a commit is on disk (fsync and synchronous_commit are on).
import { greeting } from './probe.ts'
import type { Launch, Layout, Program, Service } from './service.ts'

const USER = 'polybus'
const PASSWORD = 'polybus'
const DATABASE = 'polybus'

/** It refuses to be root. As root it runs as nobody, who may still reach the folders that root has made. */
const AS_NOBODY: readonly string[] = [
  '--reuid=65534',
  '--regid=65534',
  '--clear-groups',
  '--inh-caps=+dac_override',
  '--ambient-caps=+dac_override',
]
const isRoot = process.getuid?.() === 0
// Debian keeps them off the PATH, a folder a version.
const FOLDERS = [18, 17, 16, 15, 14].map((version) => `/usr/lib/postgresql/${version}/bin`)
const PROGRAMS: readonly Program[] = [
  { name: 'initdb', folders: FOLDERS },
  { name: 'postgres', folders: FOLDERS },
  { name: 'sh' },
  ...(isRoot ? [{ name: 'setpriv' }] : []),
]
const env = { PATH: [...FOLDERS, process.env['PATH'] ?? ''].join(':'), LC_ALL: 'C' }

const launch = (program: string, args: readonly string[]): Omit<Launch, 'role'> =>
  isRoot ? { program: 'setpriv', args: [...AS_NOBODY, program, ...args], env } : { program, args, env }

/** Made by the server's own user, who must own it. */
const clusterOf = ({ data }: Layout): string => `${data}/cluster`

// The words of a start, up to the server's question for the password: earlier, while it recovers, it answers with an error.
function startup(): string {
  const words = `\0\x03\0\0user\0${USER}\0database\0${DATABASE}\0\0`
  return `\0\0\0${String.fromCharCode(words.length + 4)}${words}`
}

// What a start that was broken off left is thrown away. The file at the end says that all of it was done.
const FORMAT = `
rm -rf "$CLUSTER"
initdb --pgdata="$CLUSTER" --username=${USER} --pwfile="$PASSWORD_FILE" --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync
echo 'create database ${DATABASE}' | postgres --single -D "$CLUSTER" postgres
touch "$CLUSTER/../ready"
`

export const postgres: Service = {
  title: 'PostgreSQL',
  image: 'postgres:16',
  ports: [{ name: 'postgres', variable: 'POSTGRES_PORT', port: 5432, inside: 5432 }],
  url: (port) => `postgres://${USER}:${PASSWORD}@127.0.0.1:${port}/${DATABASE}`,
  answers: greeting(startup(), (heard) => heard.startsWith('R')),
  startLimitMs: 60_000,
  keepsData: true,
  compose: {
    environment: { POSTGRES_USER: USER, POSTGRES_PASSWORD: PASSWORD, POSTGRES_DB: DATABASE },
    healthcheck: {
      test: ['CMD', 'pg_isready', '-h', '127.0.0.1', '-U', USER],
      interval: '2s',
      timeout: '3s',
      retries: 15,
    },
  },
  native: {
    programs: PROGRAMS,
    packages: ['postgresql'],
    elsewhere: 'macOS: brew install postgresql',
    // SIGTERM waits for every client to leave.
    stopSignal: 'SIGINT',
    forks: true,
    // A zombie has its number too, and the server takes it for one that still runs.
    leftovers: (layout) => [`${clusterOf(layout)}/postmaster.pid`],
    files: () => ({ password: `${PASSWORD}\n` }),
    format: {
      unless: 'data/ready',
      launch(layout) {
        const { program, args } = launch('sh', ['-e', '-c', FORMAT])
        return {
          program,
          args,
          env: { ...env, CLUSTER: clusterOf(layout), PASSWORD_FILE: `${layout.folder}/password` },
        }
      },
    },
    processes: (layout) => [
      {
        role: 'server',
        ...launch('postgres', [
          '-D',
          clusterOf(layout),
          ...settings({
            port: layout.ports['postgres'] ?? 0,
            listen_addresses: '127.0.0.1',
            unix_socket_directories: '',
            max_connections: 200,
            fsync: 'on',
            synchronous_commit: 'on',
            // Small: it lives beside brokers on a small machine.
            shared_buffers: '32MB',
          }),
        ]),
      },
    ],
  },
}

function settings(all: Readonly<Record<string, string | number>>): readonly string[] {
  return Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}
