import type { Call, Hazard } from '@polybus/core'
import { command, type Link } from './connection.ts'
import type { RedisHazard, Settings } from './options.ts'

/** One by one: all of them would bring passwords too. */
const SETTINGS = ['save', 'appendfsync', 'min-replicas-to-write'] as const

/** What on this server can lose messages. `CONFIG` may be denied, as managed servers do: then only what INFO tells is known. */
export async function readHazards(link: Link, { acceptedHazards }: Settings, call: Call): Promise<readonly Hazard[]> {
  const [info, ...config] = await link.batch(
    [command('INFO', []), ...SETTINGS.map((name) => command('CONFIG', [], 'GET', name))],
    call,
  )
  if (!info?.ok) throw info?.error ?? new Error('no answer to INFO')
  const set = new Map<string, string>()
  for (const [index, name] of SETTINGS.entries()) {
    const reply = config[index]
    const value = reply?.ok ? (reply.value as readonly Buffer[])[1] : undefined
    if (value !== undefined) set.set(name, String(value))
  }
  const told = fieldsOf(String(info.value))
  const found: (Hazard & { readonly kind: RedisHazard })[] = []
  const add = (kind: RedisHazard, text: string): void => void found.push({ kind, text })

  const aof = told.get('aof_enabled') === '1'
  if (!aof && set.get('save') === '')
    add('persistence', 'Redis writes nothing to disk: all messages are lost when it restarts (appendonly yes mends it)')
  else if (!aof)
    add(
      'persistence',
      'Redis keeps snapshots only: what came after the last one is lost when it fails (appendonly yes mends it)',
    )
  else if (set.has('appendfsync') && set.get('appendfsync') !== 'always')
    add(
      'fsync',
      `Redis confirms before it has synced (appendfsync ${set.get('appendfsync')}): a machine that fails loses the last of them`,
    )
  const policy = told.get('maxmemory_policy') ?? ''
  // Nothing of ours expires, so that the volatile policies never take it.
  if (told.get('maxmemory') !== '0' && policy.startsWith('allkeys'))
    add(
      'eviction',
      `Redis deletes whole streams when its memory is full (maxmemory-policy ${policy}; noeviction mends it)`,
    )
  const replicas = Number(told.get('connected_slaves') ?? 0)
  if (replicas > 0 && (set.get('min-replicas-to-write') ?? '0') === '0')
    add(
      'replication',
      'Redis confirms before a replica has it: a failover loses the last of them (min-replicas-to-write 1 narrows it)',
    )
  else if (replicas === 0) add('replication', 'Redis has no replica: what its machine loses is lost')
  return found.filter(({ kind }) => !acceptedHazards.includes(kind))
}

const fieldsOf = (info: string): ReadonlyMap<string, string> =>
  new Map(
    info.split('\r\n').flatMap((line): [string, string][] => {
      const at = line.indexOf(':')
      return at > 0 ? [[line.slice(0, at), line.slice(at + 1)]] : []
    }),
  )
