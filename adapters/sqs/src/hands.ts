// What can be done with deliveries that are held.
import {
  type BatchResultErrorEntry,
  ChangeMessageVisibilityBatchCommand,
  type ChangeMessageVisibilityBatchRequestEntry,
  DeleteMessageBatchCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs'
import type { Call, PolybusError, Result } from '@polybus/core'
import { chunksOf, each } from './chunks.ts'
import type { Link } from './connection.ts'
import { connectionFailed, entryFailed, failed, leaseLost } from './errors.ts'
import type { Token } from './held.ts'

export const OK: Result<void> = { ok: true, value: undefined }

/** Calls under way at once, for one batch. */
const WIDTH = 20

/** A result for each, in the order given. */
export interface Hands {
  finish(tokens: readonly Token[], call: Call): Promise<readonly Result<void>[]>
  /** Visible again after so many seconds. */
  visible(tokens: readonly Token[], seconds: (token: Token) => number, call: Call): Promise<readonly Result<void>[]>
  /** Visible now; on a FIFO queue the last one first, so that none is handed out while an earlier one is held. */
  release(tokens: readonly Token[], call: Call): Promise<readonly Result<void>[]>
}

interface Answer {
  readonly Successful?: readonly { readonly Id: string | undefined }[] | undefined
  readonly Failed?: readonly BatchResultErrorEntry[] | undefined
}

export function createHands(link: Link, QueueUrl: string, what: string, fifo: boolean): Hands {
  const batches = async (
    purpose: 'settle' | 'keep',
    tokens: readonly Token[],
    width: number,
    send: (client: SQSClient, chunk: readonly Token[], abortSignal: AbortSignal) => Promise<Answer>,
    call: Call,
  ): Promise<readonly Result<void>[]> => {
    const results = new Map<Token, Result<void>>()
    await each(
      chunksOf(tokens, () => 0, 0),
      width,
      async (chunk) => {
        try {
          const { Successful = [], Failed = [] } = await link.ask(
            purpose,
            (client, abortSignal) => send(client, chunk, abortSignal),
            call,
            { situation: { what } },
          )
          for (const { Id } of Successful) results.set(chunk[Number(Id)] as Token, OK)
          for (const entry of Failed) {
            const token = chunk[Number(entry.Id)] as Token
            results.set(token, { ok: false, error: about(token, entryFailed(entry, { what })) })
          }
        } catch (error) {
          for (const token of chunk) results.set(token, { ok: false, error: about(token, failed(error)) })
        }
      },
    )
    return tokens.map(
      (token) => results.get(token) ?? { ok: false, error: connectionFailed('it gave no result for an entry') },
    )
  }
  const visible = (
    tokens: readonly Token[],
    seconds: (token: Token) => number,
    call: Call,
    width = WIDTH,
  ): Promise<readonly Result<void>[]> =>
    batches(
      'keep',
      tokens,
      width,
      (client, chunk, abortSignal) => {
        const Entries = chunk.map((token, index): ChangeMessageVisibilityBatchRequestEntry => {
          return { Id: String(index), ReceiptHandle: token.handle, VisibilityTimeout: seconds(token) }
        })
        return client.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries }), { abortSignal })
      },
      call,
    )
  return {
    finish: (tokens, call) =>
      batches(
        'settle',
        tokens,
        WIDTH,
        async (client, chunk, abortSignal) => {
          // It may have waited for its turn: what is over by now may be somebody else's, and would be deleted under them.
          const now = link.clock.now()
          const Entries = chunk.flatMap(({ handle, endsAt }, index) =>
            endsAt > now ? [{ Id: String(index), ReceiptHandle: handle }] : [],
          )
          const late = chunk.flatMap(({ endsAt }, index) => (endsAt > now ? [] : [{ Id: String(index), ...LATE }]))
          if (Entries.length === 0) return { Failed: late }
          const { Successful, Failed = [] } = await client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }), {
            abortSignal,
          })
          return { Successful, Failed: [...Failed, ...late] }
        },
        call,
      ),
    visible,
    async release(tokens, call) {
      if (!fifo) return visible(tokens, () => 0, call)
      const order = tokens.toSorted((a, b) => b.order - a.order)
      const results = await visible(order, () => 0, call, 1)
      const byToken = new Map(order.map((token, index) => [token, results[index] as Result<void>]))
      return tokens.map((token) => byToken.get(token) as Result<void>)
    },
  }
}

/** As SQS would say it, if it knew. */
const LATE = { Code: 'MessageNotInflight', SenderFault: true }

const about = ({ position }: Token, error: PolybusError): PolybusError =>
  error.code === 'LEASE_LOST' ? leaseLost(position, error) : error
