// Jars by their Maven coordinates with all that they need, and archives, unpacked: fetched once, into a folder that is named by the coordinates.
import { execFile } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder } from './cache.ts'
import { lastLines, type Say } from './install.ts'
import { locked } from './lock.ts'
import { saidBy } from './said-by.ts'
import { BrokerUnavailable } from './unavailable.ts'

const FETCH_LIMIT_MS = 10 * 60_000
const PLUGIN = '3.6.1'

/** Where all jars lie; beside the instances, so that removing those keeps it. */
export function jarsFolder(): string {
  return `${cacheFolder()}-jars`
}

/**
 * A class path of the jars and of what they need at run time.
 *
 * @param coordinates `group:artifact:version` each.
 * @throws {BrokerUnavailable} where Maven cannot fetch them, with its last lines.
 */
export async function jarsOf(
  broker: string,
  coordinates: readonly string[],
  mvn: string,
  say: Say,
  signal?: AbortSignal,
): Promise<string> {
  return join(await fetched(broker, coordinates, 'copy', mvn, say, signal), '*')
}

/**
 * The folder that an archive is unpacked in.
 *
 * @param coordinates `group:artifact:version:type:classifier`.
 * @throws {BrokerUnavailable} as {@link jarsOf}.
 */
export function archiveOf(
  broker: string,
  coordinates: string,
  mvn: string,
  say: Say,
  signal?: AbortSignal,
): Promise<string> {
  return fetched(broker, [coordinates], 'unpack', mvn, say, signal)
}

async function fetched(
  broker: string,
  coordinates: readonly string[],
  how: 'copy' | 'unpack',
  mvn: string,
  say: Say,
  signal?: AbortSignal,
): Promise<string> {
  const name = createHash('sha256').update(coordinates.join('\n')).digest('hex').slice(0, 16)
  const folder = join(jarsFolder(), name)
  if (!existsSync(folder))
    await locked(
      `${folder}.lock`,
      async () => {
        // Another process may have done it while this one waited for the lock.
        if (!existsSync(folder)) await fetchAll(broker, coordinates, how, mvn, folder, say, signal)
      },
      { limitMs: FETCH_LIMIT_MS, signal },
    )
  return folder
}

async function fetchAll(
  broker: string,
  coordinates: readonly string[],
  how: 'copy' | 'unpack',
  mvn: string,
  folder: string,
  say: Say,
  signal: AbortSignal | undefined,
): Promise<void> {
  const draft = `${folder}.draft-${randomUUID()}`
  removeDrafts(folder)
  mkdirSync(draft, { recursive: true })
  say(`${broker}: fetching ${coordinates[0]} and what it needs (Maven, once)`)
  const start = performance.now()
  try {
    writeFileSync(join(draft, 'pom.xml'), pom(coordinates))
    const goal = `org.apache.maven.plugins:maven-dependency-plugin:${PLUGIN}:${how}-dependencies`
    const options = { cwd: draft, timeout: FETCH_LIMIT_MS, maxBuffer: 64 * 2 ** 20, ...(signal && { signal }) }
    await promisify(execFile)(
      mvn,
      ['-q', '-B', goal, '-DincludeScope=runtime', `-DoutputDirectory=${join(draft, 'jars')}`],
      options,
    )
    // Appears whole or not at all.
    renameSync(join(draft, 'jars'), folder)
  } catch (error) {
    signal?.throwIfAborted()
    const why = (error as { killed?: boolean }).killed ? ` within ${FETCH_LIMIT_MS / 60_000} minutes` : ''
    throw new BrokerUnavailable(
      broker,
      `Maven did not fetch ${coordinates.join(', ')}${why}:\n${lastLines(saidBy(error), 8)}`,
      { cause: error },
    )
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
  say(`${broker}: fetched in ${((performance.now() - start) / 1000).toFixed(0)} s`)
}

/** What a process that was killed meanwhile left; under the lock nobody else makes one. */
function removeDrafts(folder: string): void {
  mkdirSync(jarsFolder(), { recursive: true })
  for (const name of readdirSync(jarsFolder())) {
    const path = join(jarsFolder(), name)
    if (path.startsWith(`${folder}.draft-`)) rmSync(path, { recursive: true, force: true })
  }
}

function pom(coordinates: readonly string[]): string {
  const dependencies = coordinates.map((each) => {
    const [group, artifact, version, type, classifier] = each.split(':')
    // What an archive would need at run time lies in it.
    const archive = type
      ? `<type>${type}</type><classifier>${classifier}</classifier><exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>`
      : ''
    return `    <dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version>${archive}</dependency>`
  })
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>polybus</groupId>
  <artifactId>jars</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
${dependencies.join('\n')}
  </dependencies>
</project>
`
}
