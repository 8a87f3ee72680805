// What a schema is: as the registry takes and gives it, and with all that it refers to.

export type SchemaType = 'AVRO' | 'JSON' | 'PROTOBUF'

/** Another schema that this one names, and where it is registered. */
export interface Reference {
  readonly name: string
  readonly subject: string
  readonly version: number
}
/** A schema as the registry takes and gives it. */
export interface SchemaText {
  readonly type: SchemaType
  readonly schema: string
  readonly references: readonly Reference[]
}
/** With all that it refers to, those first that are referred to. */
export interface Schema extends SchemaText {
  readonly needs: readonly (SchemaText & { readonly name: string })[]
}
