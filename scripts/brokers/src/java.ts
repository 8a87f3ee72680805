// Java of a version: the first that is new enough, by JAVA_HOME, PATH and Debian's folder of all that are installed; and its flags.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Program } from './service.ts'

const ALL_OF_DEBIAN = '/usr/lib/jvm'

/** The program `java`, of this major version or newer. */
export function java(atLeast: number): Program {
  return {
    name: 'java',
    get folders() {
      const home = process.env['JAVA_HOME']
      return home ? [join(home, 'bin')] : []
    },
    get lastFolders() {
      return existsSync(ALL_OF_DEBIAN) ? readdirSync(ALL_OF_DEBIAN).map((name) => join(ALL_OF_DEBIAN, name, 'bin')) : []
    },
    refuses(path) {
      const version = versionOf(path)
      if (version !== undefined && version >= atLeast) return undefined
      return `${path} is ${version === undefined ? 'no Java that tells its version' : `Java ${version}`}, and ${atLeast} or newer is needed`
    },
  }
}

/** For a server and for its tools: quick to start, and of bounded memory. Out of memory it ends, instead of limping on. */
export const jvm = (heap: string): readonly string[] => [
  `-Xmx${heap}`,
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  '-XX:+ExitOnOutOfMemoryError',
]

/** The major version: 17 of `17.0.15`, 8 of `1.8.0_412`. */
export function majorOf(version: string): number | undefined {
  const [, first, second] = /^(\d+)(?:\.(\d+))?/.exec(version) ?? []
  if (first === undefined) return undefined
  return first === '1' && second !== undefined ? Number(second) : Number(first)
}

function versionOf(path: string): number | undefined {
  try {
    // A file beside it says so at once; asking it starts it.
    const release = join(dirname(dirname(realpathSync(path))), 'release')
    const text = existsSync(release) ? readFileSync(release, 'utf8') : ask(path)
    return majorOf(/^\s*(?:JAVA_VERSION|java\.version)\s*=\s*"?([\d._]+)/m.exec(text)?.[1] ?? '')
  } catch {
    return undefined
  }
}

/** The answer comes on stderr. */
function ask(path: string): string {
  return execFileSync('/bin/sh', ['-c', '"$0" -XshowSettings:properties -version 2>&1', path], {
    encoding: 'utf8',
    timeout: 20_000,
  })
}
