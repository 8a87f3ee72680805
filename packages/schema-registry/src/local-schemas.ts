// What tools find on a codec: the application's own schemas, and the registry that they belong to.
import type { Codec, CodecContext } from '@polybus/core'
import type { RegistryAdmin } from './admin.ts'
import type { Format } from './format.ts'
import type { Target } from './targets.ts'

export interface LocalSchemas {
  readonly admin: RegistryAdmin
  readonly format: Format
  /** Of a Protobuf file the message that is meant. */
  readonly message: string | undefined
  targets(context: CodecContext): readonly Target[]
}

/** A name, not a symbol of this copy of the package: a tool may have another copy. */
export const LOCAL_SCHEMAS = '~schemas'

/** Undefined for a codec that is not a registry's. */
export const localSchemasOf = (codec: Codec): LocalSchemas | undefined =>
  (codec as Codec & { readonly [LOCAL_SCHEMAS]?: LocalSchemas })[LOCAL_SCHEMAS]
