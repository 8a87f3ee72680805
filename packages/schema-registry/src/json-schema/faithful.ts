// JSON writes some values as something else, and says nothing. Here each of them is refused by its place.
import { PolybusError, show } from '@polybus/core'
import { at } from '../format.ts'

const MAX_DEPTH = 1000

/** @throws {PolybusError} `UNSERIALISABLE` naming the field. */
export function refuseUnfaithful(value: unknown, path = '', depth = 0): void {
  const refuse = (): PolybusError =>
    new PolybusError(
      'UNSERIALISABLE',
      `${path === '' ? 'the value' : `field '${path}'`}: JSON cannot carry ${show(value)}`,
    )
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return
    case 'number':
      if (!Number.isFinite(value)) throw refuse()
      return
    case 'object':
      break
    default:
      throw refuse()
  }
  if (value === null) return
  if (depth > MAX_DEPTH) throw new PolybusError('UNSERIALISABLE', `it is deeper than ${MAX_DEPTH}, or goes in a circle`)
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) refuseUnfaithful(value[index], `${path}[${index}]`, depth + 1)
    return
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if ((prototype !== Object.prototype && prototype !== null) || 'toJSON' in value) throw refuse()
  for (const [key, inner] of Object.entries(value))
    if (inner !== undefined) refuseUnfaithful(inner, at(path, key), depth + 1)
}
