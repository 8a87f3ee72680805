// The attribute `polybus`: what a message holds that SQS has no place for, or cannot carry, as JSON.

export const ATTRIBUTE = 'polybus'

/** Name and value; `1`: the value is base64 of bytes. */
export type PackedHeader = readonly [name: string, value: string, binary?: 1]
/** An attribute of another program, for which there was no place among the ten. */
export type Other = readonly [name: string, type: string, value: string, binary?: 1]

export interface Packed {
  /** Polybus made the message: else it holds what a copy of another program's has. */
  readonly own?: 1 | undefined
  /** How the body travels, where it is not as it is. */
  readonly body?: 'base64' | 'empty' | 'null' | undefined
  readonly attributes?: Readonly<Record<string, string>> | undefined
  readonly headers?: readonly PackedHeader[] | undefined
  readonly others?: readonly Other[] | undefined
  readonly order?: number | undefined
}

/** JSON escapes control characters and lone surrogates; these two it leaves, and SQS refuses them. */
const NONCHARACTERS = /[\uFFFE\uFFFF]/g

/** Undefined where there is nothing to tell. */
export function pack({ own, body, attributes = {}, headers = [], others = [], order }: Packed): string | undefined {
  const packed: Packed = {
    ...(own !== undefined && { own }),
    ...(body !== undefined && { body }),
    ...(Object.keys(attributes).length > 0 && { attributes }),
    ...(headers.length > 0 && { headers }),
    ...(others.length > 0 && { others }),
    ...(order !== undefined && { order }),
  }
  if (Object.keys(packed).length === 0) return undefined
  return JSON.stringify(packed).replace(NONCHARACTERS, (one) => `\\u${one.charCodeAt(0).toString(16)}`)
}

/** Undefined where it is missing, or was not written by {@link pack}. */
export function unpack(text: string | undefined): Packed | undefined {
  if (text === undefined) return undefined
  let value: Packed | null
  try {
    value = JSON.parse(text) as Packed | null
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const { own, body, attributes = {}, headers = [], others = [], order } = value
  const right =
    (own === undefined || own === 1) &&
    (body === undefined || body === 'base64' || body === 'empty' || body === 'null') &&
    isTexts(attributes) &&
    isRows(headers, 2) &&
    isRows(others, 3) &&
    (order === undefined || typeof order === 'number')
  return right ? value : undefined
}

const isTexts = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.values(value).every((text) => typeof text === 'string')
const isRows = (value: unknown, texts: number): boolean =>
  Array.isArray(value) &&
  value.every(
    (row: unknown) =>
      Array.isArray(row) &&
      row.slice(0, texts).length === texts &&
      row.slice(0, texts).every((text) => typeof text === 'string') &&
      (row.length === texts || (row.length === texts + 1 && row[texts] === 1)),
  )
