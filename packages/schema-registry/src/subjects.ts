// Under which subject a schema is registered: Confluent's three strategies, a fixed name, or a function.
import type { CodecContext } from '@polybus/core'

export interface SubjectContext extends CodecContext {
  /** The schema's own full name: of the record or the message, a JSON schema's title. */
  readonly record: string | undefined
}
/**
 * `topic`: `<channel>-value`. `record`: the schema's own name. `topic-record`: `<channel>-<name>`. Any other text is the subject itself.
 * On Kafka with a namespace the topic has another name than the channel: there a function or the subject says it.
 */
export type SubjectName = 'topic' | 'record' | 'topic-record' | (string & {}) | ((context: SubjectContext) => string)

/** Undefined where the strategy needs a name that the schema does not have. */
export function subjectOf(name: SubjectName, context: SubjectContext): string | undefined {
  const { channel, record } = context
  if (typeof name === 'function') return name(context)
  if (name === 'topic') return `${channel}-value`
  if (name === 'record') return record
  if (name === 'topic-record') return record === undefined ? undefined : `${channel}-${record}`
  return name
}
