// What AWS answers and ElasticMQ does not: recorded shapes of its JSON protocol, from a local server. Sources:
// - the shape, and a missing queue: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-json-api-responses.html
// - names and status: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html and the page of each action
// - the query code in `x-amzn-query-error`: https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#aws-protocols-awsquerycompatible-trait
// - texts: github.com/mhart/dynalite (keys and signatures), github.com/localstack/localstack/issues/6612 (queue type), 3956 (12 hours),
//   github.com/boto/boto3/issues/2898 (expired handle)
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Harness } from '@polybus/testkit'
import { sqs } from '../src/index.ts'

export interface Answer {
  readonly status: number
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}
export const json = (status: number, body: object, headers: Record<string, string> = {}): Answer => ({
  status,
  body: JSON.stringify(body),
  headers: { 'content-type': 'application/x-amz-json-1.0', ...headers },
})
export const refused = (status: number, type: string, message: string, query: string): Answer =>
  json(status, { __type: type, message }, { 'x-amzn-query-error': `${query};Sender` })

export const SERVICE = 'com.amazon.coral.service'
export const UNKNOWN_KEY = refused(
  403,
  `${SERVICE}#UnrecognizedClientException`,
  'The security token included in the request is invalid.',
  'InvalidClientTokenId',
)
export const WRONG_SECRET = refused(
  403,
  `${SERVICE}#InvalidSignatureException`,
  "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details. The Canonical String for this request should have been 'POST / x-amz-security-token:s3ss10n-t0ken'",
  'SignatureDoesNotMatch',
)
export const EXPIRED = refused(
  403,
  `${SERVICE}#ExpiredTokenException`,
  'The security token included in the request is expired',
  'ExpiredToken',
)
export const TOO_OLD = refused(
  403,
  `${SERVICE}#InvalidSignatureException`,
  'Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z (20260101T001500Z - 5 min.)',
  'SignatureDoesNotMatch',
)
export const DENIED = refused(
  403,
  `${SERVICE}#AccessDeniedException`,
  'User: arn:aws:iam::123456789012:user/app is not authorized to perform: sqs:createqueue on resource: arn:aws:sqs:eu-west-1:123456789012:orders--work because no identity-based policy allows the sqs:createqueue action',
  'AccessDenied',
)
export const THROTTLED = refused(400, 'com.amazonaws.sqs#RequestThrottled', 'Request is throttled.', 'RequestThrottled')
export const NO_QUEUE = refused(
  400,
  'com.amazonaws.sqs#QueueDoesNotExist',
  'The specified queue does not exist.',
  'AWS.SimpleQueueService.NonExistentQueue',
)
export const NO_MESSAGE_GROUP = refused(
  400,
  `${SERVICE}#MissingParameterException`,
  'The request must contain the parameter MessageGroupId.',
  'MissingParameter',
)
export const NO_FIFO = {
  Code: 'InvalidParameterValue',
  Message:
    'Value x for parameter MessageDeduplicationId is invalid. Reason: The request includes a parameter that is not valid for this queue type',
  SenderFault: true,
}
export const ENTRY_BROKEN = { Code: 'InternalError', SenderFault: false }
export const BROKEN = json(500, { __type: `${SERVICE}#InternalFailure`, message: null })
export const UNAVAILABLE: Answer = { status: 503, body: '<html>503 Service Temporarily Unavailable</html>' }
export const PORTAL: Answer = { status: 200, body: '<html>Welcome to the guest network</html>' }

export interface Recorded {
  readonly url: string
  /** The actions that were asked for. */
  readonly asked: readonly string[]
  close(): void
}

/** Answers each action as said, `*` all others. Does not keep a process alive. */
export async function recorded(answers: Readonly<Record<string, Answer>>): Promise<Recorded> {
  const asked: string[] = []
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const action = String(request.headers['x-amz-target']).replace('AmazonSQS.', '')
    asked.push(action)
    const { status, body, headers } = answers[action] ?? answers['*'] ?? NO_QUEUE
    request.resume()
    response.writeHead(status, headers).end(body)
  }
  const server = createServer(answer).listen(0, '127.0.0.1').unref()
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

export const SECRETS: Readonly<Record<'accessKeyId' | 'secretAccessKey' | 'sessionToken', string>> = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI',
  sessionToken: 's3ss10n-t0ken',
}

/** For the suite: whoever connects so must be told, for good. */
export const refusing = (): ReturnType<NonNullable<Harness['refusing']>> => {
  const to = (answer: Answer, secret: string) => {
    let server: Promise<Recorded> | undefined
    const endpoint = async (): Promise<{ protocol: string; hostname: string; port: number; path: string }> => {
      const { url } = await (server ??= recorded({ '*': answer }))
      const { protocol, hostname, port } = new URL(url)
      return { protocol, hostname, port: Number(port), path: '/' }
    }
    return { open: () => sqs({ region: 'eu-west-1', client: { endpoint, credentials: SECRETS } }), secret }
  }
  return {
    'an unknown key': to(UNKNOWN_KEY, SECRETS.secretAccessKey),
    'a wrong secret key': to(WRONG_SECRET, SECRETS.sessionToken),
    'an expired token': to(EXPIRED, SECRETS.sessionToken),
    'something that is not SQS': to(PORTAL, SECRETS.secretAccessKey),
    'an unknown host': {
      open: () => sqs({ endpoint: 'http://sqs.invalid', region: 'eu-west-1', client: { credentials: SECRETS } }),
      secret: SECRETS.secretAccessKey,
    },
  }
}
