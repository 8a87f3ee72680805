export type * from './adapter.ts'
export type * from './api.ts'
export {
  type AnyChannel,
  type Channel,
  type ChannelDefinition,
  type ChannelOptions,
  channel,
  type In,
  type InputOf,
  type Opt,
  type Out,
  type OutputOf,
  type Schema,
  trust,
  types,
} from './channel.ts'
export { heedAbort, type Heeding, heedNoMore } from './aborts.ts'
export { type BusInternals, createBus } from './bus.ts'
export { type Bell, createBell } from './bell.ts'
export { type Chain, createChain, joinChain, leaveChain, type Linked, listChain, shiftChain } from './chain.ts'
export { type Clock, createClock, sleep, systemClock, type Timer, type TimeSource } from './clock.ts'
export { bytes, type Codec, type CodecContext, json, type PlainCodec, text } from './codec.ts'
export { consumer } from './consume/consumer.ts'
export { LADDER_MS } from './consume/delay.ts'
export { exponential, fixed, RetryAfter } from './consume/retry.ts'
export { type Duration, duration, milliseconds, show } from './duration.ts'
export { isoOf } from './iso-times.ts'
export {
  describeError,
  type ErrorCode,
  ERRORS,
  NonRetryable,
  PolybusError,
  type PolybusErrorOptions,
  redact,
} from './errors.ts'
export { checkEnvelope, type Envelope, type EnvelopeFunctions, type ForeignMessage, readForeign } from './foreign.ts'
export type {
  Claim,
  ClaimStore,
  HeadState,
  IdempotencyStore,
  MaybePromise,
  ParkedLine,
  ParkedMessage,
  Parking,
  TransactionalParking,
  TransactionalStore,
} from './idempotency.ts'
export type { Inspection } from './inspect.ts'
export type { Headers, HeaderValue, Message, WireMessage } from './message.ts'
export {
  checkKeys,
  checkName,
  invalid,
  nearest,
  optionalBoolean,
  optionalChoice,
  optionalChoices,
  optionalDuration,
  optionalInteger,
} from './options.ts'
export { createDeadlines, type Deadlines, type Due } from './deadlines.ts'
export type { PublishContext, PublishMiddleware } from './publish/outgoing.ts'
export { RULES, type Rule, type Situation } from './rules.ts'
export { DEFAULTS } from './settings.ts'
