// What a kind of schema has to do.
import { describeError, PolybusError } from '@polybus/core'
import type { Schema, SchemaText, SchemaType } from './schema.ts'

/** A value to a whole frame. Throws where the schema refuses it. */
export type Write = (value: unknown) => Uint8Array
/** A frame to a value. Throws where it cannot. */
export type Read = (frame: Buffer) => unknown

export interface Format {
  readonly type: SchemaType
  readonly contentType: string
  /** The full name of the record or message, if it has one. */
  nameOf(schema: SchemaText, message: string | undefined): string | undefined
  /** @param message of a file of several the one that is meant; default the first. */
  writer(id: number, schema: Schema, message: string | undefined): Write
  /** `own`: what the reader wants, where that is not simply what was written. */
  reader(written: { id: number; schema: Schema }, own: Own | undefined): Read
  /** Why `reader` cannot read all that `writer` may have written, a line a field. Empty where it can, or where nobody can say. */
  differences(reader: Schema, writer: Schema, message: string | undefined): readonly string[]
  /** The values that handlers get, as a JSON schema. */
  shape(schema: Schema, message: string | undefined): Shape
  /** @throws {PolybusError} `SCHEMA_INVALID` */
  check(schema: Schema): void
}
export interface Own {
  readonly schema: Schema
  readonly message: string | undefined
  /** How errors name it: its id, where that is known. */
  readonly name: string
}

/** A JSON schema, with `tsType` where JSON has no such thing. */
export interface Shape {
  readonly [keyword: string]: unknown
  readonly definitions?: Readonly<Record<string, Shape>>
}

/** @throws {PolybusError} `SCHEMA_INVALID` */
export function compiling<T>(kind: string, make: () => T): T {
  try {
    return make()
  } catch (error) {
    throw new PolybusError('SCHEMA_INVALID', `It is no ${kind} schema: ${describeError(error).message}.`, {
      cause: error,
    })
  }
}

const MOST = 5

/** The first few of many. */
export const firstOf = (found: readonly string[]): readonly string[] =>
  found.length > MOST ? [...found.slice(0, MOST), `and ${found.length - MOST} more`] : found

export const at = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`)
