// Between the tests and ElasticMQ, on the wire: refuses entries as AWS would, and takes leases away behind an adapter's back.
import { once } from 'node:events'
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { BatchResultErrorEntry, Message, SendMessageBatchRequestEntry } from '@aws-sdk/client-sqs'

export type Refusal = Omit<BatchResultErrorEntry, 'Id'>
/** What AWS says of an entry that it could not take now, and of one that it never will. */
export const BROKEN: Refusal = {
  Code: 'InternalError',
  Message: 'We encountered an internal error.',
  SenderFault: false,
}
export const INVALID: Refusal = { Code: 'InvalidMessageContents', Message: 'Invalid characters.', SenderFault: true }

export interface Gateway {
  readonly host: string
  readonly port: number
  /** Returns an undo. */
  refuse(when: (queue: string, entry: SendMessageBatchRequestEntry) => Refusal | undefined): () => void
  /** Requests of this kind so far. */
  asked(action: string): number
  /** The next requests of this kind are answered with 500, and not passed on. */
  fail(action: string, times: number): { readonly left: number }
  /** Makes visible what was received and not deleted, of the queues whose name begins so; answers how many. */
  expire(prefix: string, match?: (message: Message) => boolean): Promise<number>
}

interface Body {
  readonly QueueUrl?: string
  readonly Entries?: readonly (SendMessageBatchRequestEntry & { readonly ReceiptHandle?: string })[]
}
interface Answer {
  readonly Messages?: readonly Message[]
  readonly Successful?: readonly { readonly Id: string }[]
  readonly Failed?: readonly BatchResultErrorEntry[]
}

const nameIn = (url = ''): string => url.slice(url.lastIndexOf('/') + 1)

export async function openGateway(target: { readonly host: string; readonly port: number }): Promise<Gateway> {
  const agent = new Agent({ keepAlive: true })
  const counts = new Map<string, number>()
  const failures = new Map<string, number>()
  const refusals = new Set<Parameters<Gateway['refuse']>[0]>()
  /** By receipt handle. */
  const leases = new Map<string, { readonly url: string; readonly message: Message }>()

  const ask = async (
    path: string,
    headers: IncomingMessage['headers'],
    body: string,
  ): Promise<[number, string, IncomingMessage]> => {
    const asked = request({
      ...target,
      path,
      method: 'POST',
      agent,
      headers: { ...headers, 'content-length': Buffer.byteLength(body) },
    })
    asked.end(body)
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    return [answer.statusCode ?? 0, await textOf(answer), answer]
  }
  const serve = async (asked: IncomingMessage, reply: ServerResponse): Promise<void> => {
    const action = String(asked.headers['x-amz-target'] ?? '').replace('AmazonSQS.', '')
    const text = await textOf(asked)
    counts.set(action, (counts.get(action) ?? 0) + 1)
    const left = failures.get(action) ?? 0
    if (left > 0) {
      failures.set(action, left - 1)
      return answerWith(reply, 500, JSON.stringify({ __type: 'com.amazon.coral.service#InternalFailure' }))
    }
    const body: Body = text === '' ? {} : (JSON.parse(text) as Body)
    const failed: BatchResultErrorEntry[] = []
    let sent = text
    if (action === 'SendMessageBatch' && refusals.size > 0) {
      const queue = nameIn(body.QueueUrl)
      const kept = (body.Entries ?? []).filter((entry) => {
        const refusal = [...refusals].map((when) => when(queue, entry)).find((found) => found !== undefined)
        if (refusal) failed.push({ ...refusal, Id: entry.Id })
        return refusal === undefined
      })
      sent = JSON.stringify({ ...body, Entries: kept })
      if (kept.length === 0) return answerWith(reply, 200, JSON.stringify({ Successful: [], Failed: failed }))
    }
    const [status, said, { headers }] = await ask(asked.url ?? '/', asked.headers, sent)
    if (status !== 200) return answerWith(reply, status, said, headers)
    const answer: Answer = said === '' ? {} : (JSON.parse(said) as Answer)
    for (const message of answer.Messages ?? [])
      leases.set(message.ReceiptHandle ?? '', { url: body.QueueUrl ?? '', message })
    if (action === 'DeleteMessageBatch')
      for (const { Id } of answer.Successful ?? [])
        leases.delete(body.Entries?.find((entry) => entry.Id === Id)?.ReceiptHandle ?? '')
    answerWith(
      reply,
      200,
      failed.length === 0 ? said : JSON.stringify({ ...answer, Failed: [...(answer.Failed ?? []), ...failed] }),
      headers,
    )
  }

  const server = createServer((asked, reply) => {
    serve(asked, reply).catch(() => reply.destroy())
  })
  server.keepAliveTimeout = 600_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  server.unref()
  const { port } = server.address() as AddressInfo
  return {
    host: '127.0.0.1',
    port,
    refuse(when) {
      refusals.add(when)
      return () => void refusals.delete(when)
    },
    asked: (action) => counts.get(action) ?? 0,
    fail(action, times) {
      failures.set(action, times)
      return {
        get left() {
          return failures.get(action) ?? 0
        },
      }
    },
    async expire(prefix, match = () => true) {
      let count = 0
      // The last one first, so that none of a message group is handed out while an earlier one is held.
      for (const [handle, { url, message }] of [...leases].toReversed()) {
        if (!nameIn(url).startsWith(prefix) || !match(message)) continue
        leases.delete(handle)
        const [status] = await ask(
          '/',
          { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.ChangeMessageVisibility' },
          JSON.stringify({ QueueUrl: url, ReceiptHandle: handle, VisibilityTimeout: 0 }),
        )
        if (status === 200) count++
      }
      return count
    },
  }
}

function answerWith(
  reply: ServerResponse,
  status: number,
  text: string,
  headers: IncomingMessage['headers'] = {},
): void {
  const { 'content-length': _, 'transfer-encoding': __, connection: ___, ...kept } = headers
  reply.writeHead(status, {
    'content-type': 'application/x-amz-json-1.0',
    ...kept,
    'content-length': Buffer.byteLength(text),
  })
  reply.end(text)
}

async function textOf(stream: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of stream) parts.push(part as Buffer)
  return Buffer.concat(parts).toString()
}
