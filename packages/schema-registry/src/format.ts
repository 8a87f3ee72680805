// What a kind of schema has to do.
import type { Schema, SchemaText, SchemaType } from './schemas.ts'

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
}
export interface Own {
  readonly schema: Schema
  readonly message: string | undefined
  /** How errors name it: its id, where that is known. */
  readonly name: string
}
