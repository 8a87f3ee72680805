// What @platformatic/kafka rejects with, in the forms that `kafkaError` reads: an answer by Kafka's own name for it, a lost
// connection by what the system said.
import { PolybusError } from '@polybus/core'
import { connectionFailed } from '../errors.ts'

interface Foreign {
  readonly code?: unknown
  readonly message?: unknown
  readonly cause?: unknown
  readonly errors?: unknown
  /** Of an answer: Kafka's own name for it. */
  readonly apiId?: unknown
  readonly response?: unknown
}

/** What a broker answered, of which a part is an error. */
export interface Answered extends Error {
  /** Of the only part. */
  readonly type?: unknown
  /** Of each, where there are several. */
  readonly errors?: readonly Answered[]
  /** All of the answer. */
  readonly response?: unknown
}

/** The error, what it holds and what it comes from, from the outside in. */
function* chain(error: unknown, depth = 0): Generator<Foreign> {
  if (typeof error !== 'object' || error === null || depth > 8) return
  const { errors, cause } = error as Foreign
  yield error
  if (Array.isArray(errors)) for (const each of errors) yield* chain(each, depth + 1)
  yield* chain(cause, depth + 1)
}

const textOf = ({ message }: Foreign): string => String(message)

/** @param trouble Of its socket. */
export function readError(error: unknown, trouble?: Error): Error {
  if (PolybusError.is(error)) return error
  const all = [...chain(error)]
  const answers = all
    .filter(({ apiId }) => typeof apiId === 'string')
    .map((answer) => Object.assign(new Error(textOf(answer)), { name: 'KafkaError', type: answer.apiId }))
  const [first] = answers
  const isLogin = all.some(({ code }) => code === 'PLT_KFK_AUTHENTICATION')
  if (isLogin && (first === undefined || first.type === 'SASL_AUTHENTICATION_FAILED'))
    return new PolybusError(
      'AUTHENTICATION_FAILED',
      `Kafka refused the login. Check user, password and mechanism. ${all.map(textOf).join(' ')}`,
      { cause: error, sent: 'no' },
    )
  if (first) {
    const response = all.find((each) => each.response !== undefined)?.response
    const only = answers.length === 1
    const made: Answered = only ? first : Object.assign(new Error(first.message), { errors: answers })
    return Object.assign(made, { response })
  }
  const last = all.at(-1)
  // What the system said of the socket.
  if (last && typeof last.code === 'string' && !last.code.startsWith('PLT_KFK')) return last as Error
  if (!isLost(all)) return error as Error
  return connectionFailed(trouble?.message ?? all.map(textOf).join(' '), 'unknown', trouble ?? error)
}

/** It speaks of the connection, or of an answer that is none of Kafka's. */
const LOST = ['PLT_KFK_NETWORK', 'PLT_KFK_TIMEOUT', 'PLT_KFK_USER', 'PLT_KFK_UNEXPECTED_CORRELATION_ID']
const isLost = (all: readonly Foreign[]): boolean => all.some(({ code }) => LOST.includes(String(code)))
