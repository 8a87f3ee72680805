// A confirm channel, opened when it is needed and again when it died. One answer for each message, in its place.
import type { ConfirmChannel, Message } from 'amqplib'
import type { Link } from './connection.ts'
import { codeOf, connectionFailed, denied, missing, rabbitError, textOf } from './errors.ts'
import { PolybusError } from '@polybus/core'
import type { Native } from './mapping.ts'

export interface Publisher {
  /** Undefined: confirmed. `returned` makes the error of a message that no queue wanted. */
  publish(
    exchange: string,
    routingKey: string,
    native: Native,
    returned: (text: string) => PolybusError,
  ): Promise<PolybusError | undefined>
}

interface Pending {
  readonly exchange: string
  readonly routingKey: string
  readonly id: string | undefined
  returned: string | undefined
}
interface Open {
  readonly channel: ConfirmChannel
  readonly pending: Set<Pending>
  cause: unknown
  /** Exchanges that a message was confirmed for: they may be written to. */
  readonly proven: Set<string>
  /** Set while the socket's buffer is full. */
  full: Promise<void> | undefined
}

export function createPublisher(link: Link, mayCreate: boolean): Publisher {
  let opening: Promise<Open> | undefined

  const openChannel = async (): Promise<Open> => {
    const channel = await link.confirmChannel()
    const open: Open = { channel, pending: new Set(), proven: new Set(), cause: undefined, full: undefined }
    channel.on('error', (error) => (open.cause = error))
    channel.on('return', ({ fields, properties }: Message) => {
      // Comes before its confirm. Which of two equals it was makes no difference.
      for (const each of open.pending) {
        if (each.returned !== undefined || each.exchange !== fields.exchange) continue
        if (each.routingKey !== fields.routingKey || each.id !== (properties.messageId as string | undefined)) continue
        each.returned = String((fields as { replyText?: unknown }).replyText)
        break
      }
    })
    channel.on('close', () => (opening = undefined))
    return open
  }
  const ready = async (): Promise<Open> => {
    const asked = (opening ??= openChannel())
    try {
      return await asked
    } catch (error) {
      if (opening === asked) opening = undefined
      throw error
    }
  }
  /** Its bytes have left, and the channel is closed. */
  const lost = ({ cause, proven }: Open, { exchange }: Pending): PolybusError => {
    if (codeOf(cause) === 403 && textOf(cause).includes(`exchange '${exchange || 'amq.default'}'`))
      return denied(cause, proven.has(exchange) ? 'unknown' : 'no')
    if (codeOf(cause) === 404 && textOf(cause).includes(`'${exchange}'`))
      return missing(`exchange '${exchange}'`, mayCreate, proven.has(exchange) ? 'unknown' : 'no')
    if (link.dead) return connectionFailed(link.dead.message, 'unknown', link.dead)
    return connectionFailed(cause === undefined ? 'the channel was closed' : textOf(cause), 'unknown', cause)
  }

  return {
    async publish(exchange, routingKey, { content, options }, returned) {
      let open: Open
      try {
        open = await ready()
        while (open.full) {
          await open.full
          open = await ready()
        }
      } catch (error) {
        return rabbitError(error, 'no')
      }
      const { channel, pending } = open
      const entry: Pending = { exchange, routingKey, id: options.messageId, returned: undefined }
      return new Promise((resolve) => {
        const confirmed = (error: unknown): void => {
          pending.delete(entry)
          if (error === null || error === undefined) {
            open.proven.add(exchange)
            resolve(entry.returned === undefined ? undefined : returned(entry.returned))
          } else if (textOf(error) === 'message nacked')
            // Of several queues one may have taken it.
            resolve(
              new PolybusError(
                'BROKER_BUSY',
                `RabbitMQ refused a message for '${exchange || routingKey}': a queue is full or not available.`,
                {
                  sent: exchange === '' ? 'no' : 'unknown',
                },
              ),
            )
          else resolve(lost(open, entry))
        }
        try {
          pending.add(entry)
          if (!channel.publish(exchange, routingKey, content, options, confirmed) && !open.full)
            open.full = new Promise((free) => {
              const done = (): void => {
                open.full = undefined
                channel.off('drain', done)
                channel.off('close', done)
                free()
              }
              channel.on('drain', done)
              channel.on('close', done)
            })
        } catch (error) {
          pending.delete(entry)
          // Nothing was written: what cannot be encoded is refused before.
          if (link.dead || opening === undefined) resolve(connectionFailed(textOf(error), 'no', error))
          else
            resolve(
              new PolybusError('BROKER_REFUSED', `AMQP cannot carry this message: ${textOf(error)}`, {
                cause: error,
                sent: 'no',
              }),
            )
        }
      })
    },
  }
}
