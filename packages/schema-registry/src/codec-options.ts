// What a codec of the registry is given, checked.
import { checkKeys, invalid, type Opt, optionalBoolean, optionalInteger, show } from '@polybus/core'
import type { Reference } from './schema.ts'
import type { SubjectName } from './subjects.ts'

/** A schema of the application: an object or its text; of Protobuf the text of the file. */
export type LocalSchema = string | object

export interface RegistryCodecOptions extends Opt<{
  /** What the application writes and reads. Default: writes the latest of the subject, and reads with the schema that was written with. */
  schema: LocalSchema
  /** Of a channel of several types, by type. */
  schemas: Readonly<Record<string, LocalSchema>>
  /** What {@link RegistryCodecOptions.schema} refers to. */
  references: readonly Reference[]
  /** Writes with the schema of this id, whatever is the latest. */
  id: number
  /** Default `topic`: `<channel>-value`. */
  subject: SubjectName
  /**
   * With which schema messages are read: the own one, as the format's rules for evolution have it, or the one that they were written with,
   * where the channel's `upcast` makes new of old. Default `own` where there is one.
   */
  readAs: 'own' | 'written'
  /**
   * What must hold before a consumer of the channel starts, and for `bus.prepare()`. `registered`: its schema is; `compatible`: and it reads
   * what is written with the latest of its subject. Default: neither is asked.
   */
  require: 'registered' | 'compatible'
  /** Registers the schema at the first publish, where it is not registered. Default false: it must be there. */
  register: boolean
  /** Of a Protobuf file with several messages the one that is meant. Default the first; with `schemas` that of the type's schema. */
  message: string
}> {}

const KNOWN = ['schema', 'schemas', 'references', 'id', 'subject', 'readAs', 'register', 'require', 'message']

/** @throws {PolybusError} `INVALID_OPTION` */
export function checkCodecOptions(options: RegistryCodecOptions, where: string): void {
  checkKeys(options, KNOWN, where)
  const { schema, schemas, references, subject, message, readAs, require: required } = options
  const isSchema = (value: unknown): boolean =>
    (typeof value === 'string' && value !== '') || (typeof value === 'object' && value !== null)
  if (schema !== undefined && !isSchema(schema))
    throw invalid(`${where}.schema`, `expected a schema, as an object or its text, got ${show(schema)}.`)
  if (
    schemas !== undefined &&
    (typeof schemas !== 'object' || schemas === null || !Object.values(schemas).every(isSchema))
  )
    throw invalid(`${where}.schemas`, 'expected an object of schemas by type.')
  if (schema !== undefined && schemas !== undefined)
    throw invalid(`${where}.schemas`, 'give schema or schemas, not both.')
  if (references !== undefined && !Array.isArray(references))
    throw invalid(`${where}.references`, 'expected an array of { name, subject, version }.')
  if (subject !== undefined && typeof subject !== 'function' && (typeof subject !== 'string' || subject === ''))
    throw invalid(`${where}.subject`, `expected a text or a function, got ${show(subject)}.`)
  if (readAs !== undefined && readAs !== 'own' && readAs !== 'written')
    throw invalid(`${where}.readAs`, `expected 'own' or 'written', got ${show(readAs)}.`)
  if (required !== undefined && required !== 'registered' && required !== 'compatible')
    throw invalid(`${where}.require`, `expected 'registered' or 'compatible', got ${show(required)}.`)
  if (message !== undefined && (typeof message !== 'string' || message === ''))
    throw invalid(`${where}.message`, `expected the name of a message, got ${show(message)}.`)
  optionalInteger(options.id, `${where}.id`, 0, 2 ** 32 - 1)
  optionalBoolean(options.register, `${where}.register`)
}
