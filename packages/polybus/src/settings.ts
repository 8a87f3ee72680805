// Options of connect() while they are put together from several places.
import { checkKeys, type ConnectOptions } from '@polybus/core'

export type Settings = Record<string, unknown>

type Keys<T> = Readonly<Record<keyof T, true>>
const names = (keys: Keys<never>): readonly string[] => Object.keys(keys)
type Group<K extends keyof ConnectOptions> = NonNullable<ConnectOptions[K]>

// Typed so that an option which core gains or loses does not compile until it stands here.
const OPTIONS = names({
  broker: true,
  service: true,
  namespace: true,
  topology: true,
  logger: true,
  observe: true,
  trace: true,
  use: true,
  defaults: true,
  connectTimeout: true,
  grace: true,
  durability: true,
  publishing: true,
} satisfies Keys<ConnectOptions>)
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  publishing: names({
    bufferMessages: true,
    bufferBytes: true,
    timeout: true,
    whenFull: true,
    use: true,
  } satisfies Keys<Group<'publishing'>>),
  defaults: names({ concurrency: true, timeout: true, retry: true } satisfies Keys<Group<'defaults'>>),
}

/** Refuses unknown keys, in the groups of options too. */
export function checkSettings(settings: object, where: string): asserts settings is Settings {
  checkKeys(settings, OPTIONS, where)
  for (const [group, keys] of Object.entries(GROUPS)) {
    const value = (settings as Settings)[group]
    if (value !== undefined) checkKeys(value as object, keys, `${where}.${group}`)
  }
}

export function put(settings: Settings, path: readonly string[], value: unknown): void {
  const last = path.at(-1) ?? ''
  let target = settings
  for (const part of path.slice(0, -1)) target = (target[part] ??= {}) as Settings
  target[last] = value
}

export const get = (settings: Settings, path: readonly string[]): unknown =>
  path.reduce<unknown>((value, part) => (isSettings(value) ? value[part] : undefined), settings)

/**
 * What `over` leaves out, or gives as `undefined`, is taken from `under`. Of objects only publishing, defaults and retry can
 * stand in both, because one of two places is the environment, which has no others.
 */
export function merge(over: Settings, under: Settings): Settings {
  const merged: Settings = { ...under }
  for (const [key, value] of Object.entries(over)) {
    if (value === undefined) continue
    const below = under[key]
    merged[key] = isSettings(value) && isSettings(below) ? merge(value, below) : value
  }
  return merged
}

const isSettings = (value: unknown): value is Settings => typeof value === 'object' && value !== null
