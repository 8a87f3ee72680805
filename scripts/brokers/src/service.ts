// What an entry of the table of services says.
import type { Probe } from './probe.ts'

export interface Port {
  /** What it is for; the first one of a service is the one that clients use. */
  readonly name: string
  /** Moves it in docker compose. */
  readonly variable: string
  readonly port: number
  /** Inside the container; default the same as outside, which a broker that advertises its own address needs. */
  readonly inside?: number
}

export interface Service {
  readonly title: string
  readonly image: string
  readonly ports: readonly [Port, ...Port[]]
  /** What clients take. */
  url(port: number): string
  readonly answers: Probe
  /** From the start of the process to its first answer. */
  readonly startLimitMs: number
  /** Whether what it confirmed is there again after a stop and after a kill. */
  readonly keepsData: boolean
  readonly compose: ComposePart
  /** Absent: only with a container engine. */
  readonly native?: Native
}

/** What compose is told besides image and ports. */
export interface ComposePart {
  /** Why it is so, for the reader of docker-compose.yml. */
  readonly comment?: string
  readonly command?: readonly string[]
  /** For servers that name their data by it: a new container finds the old one's. */
  readonly hostname?: string
  readonly environment?: Readonly<Record<string, string | number>>
  /** Only started by name: `docker compose --profile NAME up`. */
  readonly profile?: string
  /** Commands to run in the container each time it has started; only by us, plain `docker compose up` runs none. */
  readonly afterStart?: readonly (readonly string[])[]
  readonly healthcheck: {
    readonly test: readonly string[]
    readonly interval: string
    readonly timeout: string
    readonly retries: number
    readonly start_period?: string
  }
}

export interface Native {
  readonly programs: readonly Program[]
  /** Packages of Debian that have them. */
  readonly packages: readonly string[]
  /** How to get it elsewhere. */
  readonly elsewhere: string
  /** By Maven coordinates, `group:artifact:version`: fetched with all that they need, by the program `mvn`. */
  readonly jars?: readonly string[]
  /** As `jars`, of what comes as an archive that is unpacked: `group:artifact:version:type:classifier`. */
  readonly archive?: string
  /** More ports than the first, by name. */
  readonly ownPorts?: readonly string[]
  /** The server's own log in the folder of logs, where it is not what it prints. */
  readonly log?: string
  /** Files to write before each start, by their path in the instance's folder. */
  files?(layout: Layout): Readonly<Record<string, string>>
  /** Runs to its end before a start that finds no such file in the instance's folder. */
  readonly format?: { readonly unless: string; launch(layout: Layout): Omit<Launch, 'role'> }
  /** Ends it in good order, also while clients are connected. Default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals
  /** Its server works through child processes: a kill takes them with it, and a pause stops them too. */
  readonly forks?: boolean
  /** Files that a killed server leaves, and that would keep the next one from starting. */
  leftovers?(layout: Layout): readonly string[]
  /** In this order. The one called `server` gets signals; the others are started before it and end after it. */
  processes(layout: Layout): readonly Launch[]
}

export interface Program {
  readonly name: string
  /** Looked at before PATH. */
  readonly folders?: readonly string[]
  /** Looked at after PATH. */
  readonly lastFolders?: readonly string[]
  /** Why the one at this path won't do; undefined where it does. */
  refuses?(path: string): string | undefined
}

export interface Launch {
  readonly role: string
  readonly program: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

export interface Layout {
  readonly folder: string
  readonly data: string
  readonly logs: string
  readonly ports: Readonly<Record<string, number>>
  /** The class path of {@link Native.jars}; empty where there are none. */
  readonly jars: string
  /** The folder of {@link Native.archive}; empty where there is none. */
  readonly archive: string
}
