// Programs of native servers: found, or installed where that is ours to do, or named with the way to get them.
import { execFile } from 'node:child_process'
import { accessSync, constants, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder } from './cache.ts'
import { locked } from './lock.ts'
import type { Native, Program } from './service.ts'
import { BrokerUnavailable } from './unavailable.ts'

export type Say = (text: string) => void

const INSTALL_LIMIT_MS = 10 * 60_000
const POLICY = '/usr/sbin/policy-rc.d'
const POLICY_TEXT = '#!/bin/sh\n# polybus: no service starts while its test brokers are being installed\nexit 101\n'

/**
 * The programs' paths, by name.
 *
 * @throws {BrokerUnavailable} where one is missing and cannot be installed here.
 */
export async function programsOf(
  broker: string,
  native: Native,
  say: Say,
  signal?: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  if (missing(native).length > 0) {
    const absent = missing(native).map(({ name }) => name)
    if (!isRootOnDebian()) throw new BrokerUnavailable(broker, howToGet(native, absent))
    await locked(join(cacheFolder(), 'install.lock'), () => install(broker, native, say, signal), {
      limitMs: INSTALL_LIMIT_MS,
      signal,
    })
  }
  const found = native.programs.map((program) => [program.name, find(program)] as const)
  const absent = found.filter(([, path]) => path === undefined).map(([name]) => name)
  if (absent.length > 0)
    throw new BrokerUnavailable(
      broker,
      `${native.packages.join(', ')} was installed, but has no ${absent.join(', ')}${refusals(native)}.`,
    )
  return Object.fromEntries(found.map(([name, path]) => [name, path ?? '']))
}

export function howToGet(native: Native, absent: readonly string[]): string {
  const { packages, elsewhere } = native
  return `${absent.join(' and ')} not found${refusals(native)}, and no container engine answers. Start Docker, or install it. Debian and Ubuntu: sudo apt-get install --no-install-recommends ${packages.join(' ')}. ${elsewhere}.`
}

const missing = ({ programs }: Native): readonly Program[] => programs.filter((program) => find(program) === undefined)

function find(program: Program): string | undefined {
  return candidates(program).find((file) => program.refuses?.(file) === undefined)
}

function candidates({ name, folders = [], lastFolders = [] }: Program): readonly string[] {
  const path = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  // Root's, which the PATH of other users often lacks.
  const all = [...folders, ...path, '/usr/sbin', '/usr/local/sbin', ...lastFolders]
  return all.map((folder) => join(folder, name)).filter(isProgram)
}

/** Of programs that are there and won't do. */
function refusals(native: Native): string {
  const all = missing(native).flatMap((program) => candidates(program).flatMap((file) => program.refuses?.(file) ?? []))
  return all.length > 0 ? ` (${[...new Set(all)].join('; ')})` : ''
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const isRootOnDebian = (): boolean => process.getuid?.() === 0 && existsSync('/etc/debian_version')

async function install(broker: string, native: Native, say: Say, signal: AbortSignal | undefined): Promise<void> {
  // Another process may have done it while this one waited for the lock.
  if (missing(native).length === 0) return
  say(`${broker}: installing ${native.packages.join(', ')} (apt-get, as root)`)
  const start = performance.now()
  const apt = (...args: readonly string[]): Promise<unknown> =>
    promisify(execFile)('apt-get', args, {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      timeout: INSTALL_LIMIT_MS,
      maxBuffer: 64 * 2 ** 20,
      ...(signal && { signal }),
    })
  const ours = denyServices()
  try {
    await apt('update')
    await apt('install', '-y', '--no-install-recommends', ...native.packages)
  } catch (error) {
    signal?.throwIfAborted()
    const { stderr = '', message } = error as Error & { stderr?: string }
    const last = lastLines(stderr || message, 5)
    throw new BrokerUnavailable(broker, `apt-get install ${native.packages.join(' ')} failed:\n${last}`, {
      cause: error,
    })
  } finally {
    if (ours) rmSync(POLICY, { force: true })
  }
  say(`${broker}: installed in ${((performance.now() - start) / 1000).toFixed(0)} s`)
}

/** Debian's packages start their service when installed, on the usual port. Answers whether the file is ours to remove. */
function denyServices(): boolean {
  if (existsSync(POLICY)) return readFileSync(POLICY, 'utf8') === POLICY_TEXT
  writeFileSync(POLICY, POLICY_TEXT, { mode: 0o755 })
  return true
}

export function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n')
}
