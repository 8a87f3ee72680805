import { schemaRegistry, type SchemaRegistry } from '@polybus/schema-registry'

export type Registry = SchemaRegistry
/** Prices travel as JSON where there is none. */
export const registryAt = (url: string | undefined): Registry | undefined =>
  url === undefined ? undefined : schemaRegistry({ url })
