// What is checked about a publish before it is queued. Every error here is certain: nothing was sent.
import type { Adapter, Capabilities } from '../adapter.ts'
import type { PublishOptions } from '../api.ts'
import type { ChannelDefinition } from '../channel.ts'
import { show } from '../duration.ts'
import { describeError, PolybusError } from '../errors.ts'
import { invalid, optionalInteger } from '../options.ts'
import type { Headers, WireMessage } from '../message.ts'

const RESERVED = /^(?:polybus-|ce[-_]|cloudevents[:_]|content-type$)/i
const NO_HEADERS: Headers = []
const HALF = 'it holds half a surrogate pair, which UTF-8 cannot carry. Two of them would arrive as the same text.'
// Of ECMAScript 2024.
const isWellFormed = (text: string): boolean => (text as unknown as { isWellFormed(): boolean }).isWellFormed()

const refuse = (text: string, cause?: unknown): PolybusError =>
  new PolybusError('INVALID_MESSAGE', text, { cause, sent: 'no' })

export function checkHeaders(given: Record<string, string> | undefined): Headers {
  if (given === undefined) return NO_HEADERS
  if (typeof given !== 'object' || given === null || Symbol.iterator in given)
    throw refuse(`headers: expected an object of texts, got ${show(given)}.`)
  return Object.entries(given).map(([name, value]) => {
    if (name === '' || RESERVED.test(name))
      throw refuse(
        `headers: ${show(name)} is reserved. 'polybus-*', CloudEvents names and content-type are set by Polybus.`,
      )
    if (typeof value !== 'string') throw refuse(`headers.${name}: expected a text, got ${show(value)}.`)
    if (!isWellFormed(value) || !isWellFormed(name)) throw refuse(`headers.${show(name)}: ${HALF}`)
    return [name, value] as const
  })
}

export function checkOptions({ id, signal, correlationId, priority }: PublishOptions): void {
  if (id !== undefined && (typeof id !== 'string' || id === ''))
    throw invalid('publish().id', `expected a text, got ${show(id)}.`)
  if (id !== undefined && !isWellFormed(id)) throw refuse(`publish().id ${show(id)}: ${HALF}`)
  if (correlationId !== undefined && typeof correlationId !== 'string')
    throw invalid('publish().correlationId', `expected a text, got ${show(correlationId)}.`)
  if (correlationId !== undefined && !isWellFormed(correlationId))
    throw refuse(`publish().correlationId ${show(correlationId)}: ${HALF}`)
  optionalInteger(priority, 'publish().priority', 0, 255)
  if (signal === undefined) return
  if (!(signal instanceof AbortSignal))
    throw invalid('publish().signal', `expected an AbortSignal, got ${show(signal)}.`)
  if (signal.aborted)
    throw new PolybusError('ABORTED', 'The signal was aborted before the publish.', {
      cause: signal.reason,
      sent: 'no',
    })
}

export function keyOf(channel: ChannelDefinition, value: unknown, given: string | undefined): string | undefined {
  let key: unknown = given
  if (key === undefined && channel.key) {
    try {
      key = channel.key(value)
    } catch (error) {
      throw refuse(`Channel '${channel.spec.name}': the key function threw: ${describeError(error).message}`, error)
    }
  }
  if (key !== undefined && typeof key !== 'string')
    throw refuse(`Channel '${channel.spec.name}': the key must be a text or undefined, got ${show(key)}.`)
  if (key !== undefined && !isWellFormed(key))
    throw refuse(`Channel '${channel.spec.name}': the key ${show(key)}: ${HALF}`)
  return key
}

export function typeOf(channel: ChannelDefinition, value: unknown): string {
  let type: unknown
  try {
    type = channel.type(value)
  } catch (error) {
    throw refuse(`Channel '${channel.spec.name}': the type function threw: ${describeError(error).message}`, error)
  }
  if (typeof type === 'string' && type !== '' && isWellFormed(type)) return type
  throw refuse(`Channel '${channel.spec.name}': the type must be a text, got ${show(type)}.`)
}

/** The message's bytes. */
export function checkSize(
  adapter: Adapter,
  { spec }: ChannelDefinition,
  capabilities: Capabilities,
  message: WireMessage,
): number {
  const bytes = adapter.size(message)
  const limit = capabilities.maxBytes === null ? spec.maxBytes : Math.min(spec.maxBytes, capabilities.maxBytes)
  if (bytes <= limit) return bytes
  const raise =
    limit < spec.maxBytes ? "That is the broker's limit, not the channel's: raise it there" : 'Raise maxBytes'
  throw new PolybusError(
    'MESSAGE_TOO_LARGE',
    `Message '${message.id ?? ''}' has ${bytes} bytes, headers included; channel '${spec.name}' allows ${limit} on ${adapter.name}. ${raise}, or publish a reference to the data.`,
    { sent: 'no' },
  )
}

export function refuseUnsupportedOptions(
  adapter: Adapter,
  channel: ChannelDefinition,
  capabilities: Capabilities,
  given: PublishOptions,
): void {
  const refuseOption = (option: string, alternative: string): PolybusError =>
    new PolybusError(
      'UNSUPPORTED',
      `${adapter.name} cannot do publish().${option} for channel '${channel.spec.name}'. Nearest: ${alternative}.`,
      { sent: 'no' },
    )
  if (given.delay !== undefined && !capabilities.delayedPublish) throw refuseOption('delay', 'publish when it is due')
  if (given.priority !== undefined && !capabilities.priority)
    throw refuseOption('priority', 'a channel for what is urgent')
}
