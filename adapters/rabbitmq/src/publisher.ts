// A confirm channel, opened when it is needed and again when it died. One answer for each message, in its place.
import type { ConfirmChannel, Message } from 'amqplib'
import { type Chain, createChain, joinChain, leaveChain, type Linked, listChain, PolybusError } from '@polybus/core'
import type { Link } from './connection.ts'
import { codeOf, connectionFailed, denied, missing, rabbitError, textOf } from './errors.ts'
import type { Native } from './mapping.ts'

export interface Publisher {
  /** Writes at once where it can, so that the order is that of the calls. */
  publish(put: Put): void
}

export interface Put {
  readonly exchange: string
  readonly routingKey: string
  readonly native: Native
  /** The error of a message that no queue wanted. */
  readonly returned: () => PolybusError
  /** What has to be there, or the message is not even routed. */
  readonly expected?: Expected | undefined
  /** Called once. Undefined: confirmed. */
  readonly answer: (error: PolybusError | undefined) => void
}

/** Queues that are asked for just before the first of the messages that expect them. */
export interface Expected {
  readonly queues: readonly string[]
  /** On which channel they were. */
  askedOn?: ConfirmChannel
}

interface Pending extends Linked<Pending> {
  readonly put: Put
  returned: boolean
}
interface Open {
  readonly channel: ConfirmChannel
  readonly pending: Chain<Pending>
  cause: unknown
  /** Exchanges that a message was confirmed for: they may be written to. */
  readonly proven: Set<string>
  over: boolean
  /** How many batches expected the queue over which it was closed. */
  askers: number | undefined
}

/** Of the queues that it expects the one that the server speaks of. */
const refused = (cause: unknown, { expected }: Put): string | undefined =>
  expected?.queues.find((queue) => textOf(cause).includes(`queue '${queue}'`))

/** AMQP's queue.declare, which amqplib only sends with an answer. */
const QUEUE_DECLARE = 3_276_810

/**
 * A declaration that creates nothing and is not answered: a look into the server's table, in the channel's order. Where the
 * queue is gone the channel closes (404), and what is written behind it goes nowhere.
 */
function expect(channel: ConfirmChannel, queue: string): void {
  const { sendImmediately } = channel as unknown as { sendImmediately(method: number, fields: object): void }
  const flags = { passive: true, durable: false, exclusive: false, autoDelete: false, nowait: true }
  sendImmediately.call(channel, QUEUE_DECLARE, { ticket: 0, queue, ...flags, arguments: {} })
}

export function createPublisher(link: Link, mayCreate: boolean): Publisher {
  let current: Open | undefined
  /** Those that came while the channel is opened, in their order. */
  let waiting: Put[] | undefined

  const openChannel = async (): Promise<Open> => {
    const channel = await link.confirmChannel()
    const open: Open = {
      channel,
      pending: createChain(),
      proven: new Set(),
      cause: undefined,
      over: false,
      askers: undefined,
    }
    channel.on('error', (error) => (open.cause = error))
    channel.on('return', ({ fields, properties }: Message) => {
      // Comes before its confirm. Which of two equals it was makes no difference.
      const found = listChain(open.pending).find(
        ({ put: { exchange, routingKey, native }, returned }) =>
          !returned &&
          exchange === fields.exchange &&
          routingKey === fields.routingKey &&
          native.options.messageId === properties.messageId,
      )
      if (found) found.returned = true
    })
    channel.on('close', () => {
      open.over = true
      if (current === open) current = undefined
    })
    return open
  }
  const openFor = (puts: Put[]): void => {
    waiting = puts
    openChannel().then(
      (open) => {
        waiting = undefined
        if (!open.over) current = open
        for (const put of puts) write(open, put)
      },
      (error: unknown) => {
        waiting = undefined
        for (const { answer } of puts) answer(rabbitError(error, 'no'))
      },
    )
  }
  /** Its bytes have left, and the channel is closed. */
  const lost = (open: Open, put: Put): PolybusError => {
    const { cause, proven } = open
    const { exchange } = put
    const queue = refused(cause, put)
    if (queue !== undefined) {
      // Where one batch alone was under way that expects it, it is the one that asked: nothing of it was routed.
      open.askers ??= new Set(
        [put, ...listChain(open.pending).map((entry) => entry.put)]
          .filter((one) => refused(cause, one))
          .map(({ expected }) => expected),
      ).size
      return codeOf(cause) === 404
        ? missing(`queue '${queue}'`, mayCreate, open.askers === 1 ? 'no' : 'unknown')
        : rabbitError(cause)
    }
    if (codeOf(cause) === 403 && textOf(cause).includes(`exchange '${exchange || 'amq.default'}'`))
      return denied(cause, proven.has(exchange) ? 'unknown' : 'no')
    if (codeOf(cause) === 404 && textOf(cause).includes(`exchange '${exchange}'`))
      return missing(`exchange '${exchange}'`, mayCreate, proven.has(exchange) ? 'unknown' : 'no')
    if (link.dead) return connectionFailed(link.dead.message, 'unknown', link.dead)
    return connectionFailed(cause === undefined ? 'the channel was closed' : textOf(cause), 'unknown', cause)
  }

  const confirmed = (open: Open, entry: Pending, error: unknown): void => {
    const { put, returned } = entry
    const { exchange, routingKey, answer } = put
    leaveChain(open.pending, entry)
    if (error === null || error === undefined) {
      open.proven.add(exchange)
      answer(returned ? put.returned() : undefined)
    } else if (textOf(error) === 'message nacked')
      // Of several queues one may have taken it.
      answer(
        new PolybusError(
          'BROKER_BUSY',
          `RabbitMQ refused a message for '${exchange || routingKey}': a queue is full or not available.`,
          {
            sent: exchange === '' ? 'no' : 'unknown',
          },
        ),
      )
    else answer(lost(open, put))
  }
  const write = (open: Open, put: Put): void => {
    const { exchange, routingKey, native, answer, expected } = put
    const entry: Pending = { put, returned: false, before: undefined, after: undefined }
    joinChain(open.pending, entry)
    try {
      if (expected && expected.askedOn !== open.channel) {
        for (const queue of expected.queues) expect(open.channel, queue)
        expected.askedOn = open.channel
      }
      // Its 'drain' is not waited for: core bounds what is in flight, and so what waits in the socket.
      open.channel.publish(exchange, routingKey, native.content, native.options, (error) =>
        confirmed(open, entry, error),
      )
    } catch (error) {
      leaveChain(open.pending, entry)
      // Nothing was written: what cannot be encoded is refused before.
      if (link.dead || open.over) answer(connectionFailed(textOf(error), 'no', error))
      else
        answer(
          new PolybusError('BROKER_REFUSED', `AMQP cannot carry this message: ${textOf(error)}`, {
            cause: error,
            sent: 'no',
          }),
        )
    }
  }

  return {
    publish(put) {
      if (current) write(current, put)
      else if (waiting) waiting.push(put)
      else openFor([put])
    },
  }
}
