// Java and jars: found, fetched, or named with the way to get them. Programs stand for java and mvn that say what these would.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { howToGet } from '../src/install.ts'
import { java, majorOf } from '../src/java.ts'
import { jarsFolder, jarsOf } from '../src/maven.ts'
import type { Native } from '../src/service.ts'
import { runFixture } from './child.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'polybus-java-'))
  vi.stubEnv('XDG_CACHE_HOME', folder)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, force: true })
})

function program(name: string, script: string): string {
  const file = join(folder, name)
  writeFileSync(file, `#!/bin/sh\n${script}\n`)
  chmodSync(file, 0o755)
  return file
}

test.each([
  ['17.0.15', 17],
  ['21', 21],
  ['1.8.0_412', 8],
  ['nonsense', undefined],
])('the version %s is that of Java %s', (text, major) => {
  expect(majorOf(text)).toBe(major)
})

test('a Java that is too old is named, and what to install', () => {
  mkdirSync(join(folder, 'old', 'bin'), { recursive: true })
  writeFileSync(join(folder, 'old', 'release'), 'IMPLEMENTOR="X"\nJAVA_VERSION="11.0.2"\n')
  const old = program(join('old', 'bin', 'java'), 'exit 1')
  const telling = program('java', 'echo "    java.version = 1.8.0_412" >&2')
  expect(java(17).refuses?.(old)).toBe(`${old} is Java 11, and 17 or newer is needed`)
  expect(java(17).refuses?.(telling)).toBe(`${telling} is Java 8, and 17 or newer is needed`)
  expect(java(8).refuses?.(telling)).toBeUndefined()
  const silent = program('silent', 'exit 0')
  expect(java(17).refuses?.(silent)).toMatch(/^.* is no Java that tells its version, and 17/)

  vi.stubEnv('JAVA_HOME', join(folder, 'old'))
  const native: Native = {
    programs: [{ ...java(99), folders: java(99).folders ?? [] }, { name: 'mvn' }],
    packages: ['default-jre-headless', 'maven'],
    elsewhere: 'macOS: brew install openjdk maven',
    processes: () => [],
  }
  const text = howToGet(native, ['java'])
  expect(text).toContain(`java not found (${old} is Java 11, and 99 or newer is needed`)
  expect(text).toContain('sudo apt-get install --no-install-recommends default-jre-headless maven')
})

const FETCH = `
echo run >> "$(dirname "$0")/calls"
for arg in "$@"; do case "$arg" in -DoutputDirectory=*) out="\${arg#-DoutputDirectory=}";; esac; done
mkdir -p "$out"
sleep 0.2
cp pom.xml "$out/x.jar"`

test('jars are fetched once, also by two processes at once, and appear whole', async () => {
  const mvn = program('mvn', FETCH)
  const args = [mvn, 'org.example:thing:1.0', 'org.example:other:2.0']
  const env = { ...process.env, XDG_CACHE_HOME: folder }
  const ended = await Promise.all([runFixture('jars.ts', args, env), runFixture('jars.ts', args, env)])
  expect(ended.map(({ code }) => code)).toEqual([0, 0])
  const paths = new Set(ended.map(({ out }) => out.trim()))
  expect(paths.size).toBe(1)
  const [path = ''] = paths
  expect(path).toMatch(/\*$/)
  expect(readFileSync(join(path, '..', 'x.jar'), 'utf8')).toContain(
    '<groupId>org.example</groupId><artifactId>other</artifactId><version>2.0</version>',
  )
  expect(readFileSync(join(folder, 'calls'), 'utf8')).toBe('run\n')
  expect(
    ended
      .map(({ err }) => err)
      .join('')
      .match(/fetching org\.example:thing:1\.0/g),
  ).toHaveLength(1)
  expect(readdirSync(jarsFolder())).toHaveLength(1)
})

test('other coordinates are other jars', async () => {
  const mvn = program('mvn', FETCH)
  const one = await jarsOf('x', ['org.example:thing:1.0'], mvn, () => {})
  const two = await jarsOf('x', ['org.example:thing:1.1'], mvn, () => {})
  expect(one).not.toBe(two)
})

test('what Maven says when it fails is said, and nothing half is left, not even of a process that was killed', async () => {
  const failing = program('mvn', 'echo "[ERROR] Could not resolve org.example:thing" ; exit 1')
  await expect(jarsOf('kafka', ['org.example:thing:1.0'], failing, () => {})).rejects.toThrow(
    /^kafka: Maven did not fetch org\.example:thing:1\.0:\n\[ERROR\] Could not resolve/,
  )
  expect(readdirSync(jarsFolder())).toEqual([])

  const working = program('mvn', FETCH)
  const path = await jarsOf('kafka', ['org.example:thing:1.0'], working, () => {})
  const jars = join(path, '..')
  rmSync(jars, { recursive: true })
  mkdirSync(join(`${jars}.draft-of-a-dead-one`, 'jars'), { recursive: true })
  await jarsOf('kafka', ['org.example:thing:1.0'], working, () => {})
  expect(existsSync(join(jars, 'x.jar'))).toBe(true)
  expect(readdirSync(jarsFolder())).toHaveLength(1)
})

test('fetching ends when the caller gives up', async () => {
  const mvn = program('mvn', 'exec sleep 60')
  const stop = new AbortController()
  const fetching = jarsOf(
    'kafka',
    ['org.example:thing:1.0'],
    mvn,
    () => stop.abort(new Error('no longer wanted')),
    stop.signal,
  )
  await expect(fetching).rejects.toThrow('no longer wanted')
  expect(readdirSync(jarsFolder())).toEqual([])
})
