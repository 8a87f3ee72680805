// What a native server needs of this machine: its programs, and its jars or its archive.
import { programsOf, type Say } from './install.ts'
import { archiveOf, jarsOf } from './maven.ts'
import type { Native } from './service.ts'

export interface Provisions {
  /** Paths by name. */
  readonly programs: Readonly<Record<string, string>>
  /** A class path; empty where nothing runs on Java. */
  readonly jars: string
  /** The folder of the unpacked archive; empty where there is none. */
  readonly archive: string
}

/**
 * Finds it, or gets it where that is ours to do.
 *
 * @throws {BrokerUnavailable} saying what is missing and how to get it.
 */
export async function provide(broker: string, native: Native, say: Say, signal?: AbortSignal): Promise<Provisions> {
  const programs = await programsOf(broker, native, say, signal)
  const mvn = programs['mvn'] ?? 'mvn'
  const jars = native.jars ? await jarsOf(broker, native.jars, mvn, say, signal) : ''
  const archive = native.archive === undefined ? '' : await archiveOf(broker, native.archive, mvn, say, signal)
  return { programs, jars, archive }
}
