// `sqs:`, `sqs://region` and `sqs://host:port`. Errors never show the URL: it may hold a secret key.
import { invalid } from '@polybus/core'

export interface UrlParts {
  readonly region: string | undefined
  readonly endpoint: string | undefined
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined
  /** Options that stand in the query. */
  readonly query: Readonly<Record<string, string | number>>
}

const TEXTS = ['region', 'endpoint']
const NUMBERS = ['visibilityMs', 'waitMs', 'requestTimeoutMs', 'maxReceiveCount', 'maxMessageBytes']
const REGION = /^[a-z]{2,}(-[a-z]+)+-\d+$/
/** Emulators take any, but the SDK signs with some; with the real ones nobody but AWS has to do. */
const ANY = { accessKeyId: 'polybus', secretAccessKey: 'polybus' }

export function readUrl(text: unknown): UrlParts {
  const example = 'expected a URL such as sqs:, sqs://eu-west-1 or sqs://localhost:9324.'
  if (typeof text !== 'string') throw invalid('sqs().url', example)
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw invalid('sqs().url', example)
  }
  if (url.protocol !== 'sqs:') throw invalid('sqs().url', `unknown scheme '${url.protocol}'. Known: sqs:.`)
  if (!/^\/?$/.test(url.pathname))
    throw invalid('sqs().url', 'its path must be empty: queues are named by channels.<name>.groups.<group>.queueUrl.')
  const query: Record<string, string | number> = {}
  for (const [key, value] of url.searchParams) {
    if (!TEXTS.includes(key) && !NUMBERS.includes(key))
      throw invalid(`sqs: URL, ${key}`, `unknown option. Known: ${[...TEXTS, ...NUMBERS].join(', ')}.`)
    query[key] = NUMBERS.includes(key) ? Number(value) : value
  }
  const { hostname, host, port, username, password } = url
  if (hostname === '' || (port === '' && REGION.test(hostname))) {
    if (username !== '')
      throw invalid('sqs().url', 'credentials of AWS do not stand in a URL: use sqs().client.credentials.')
    return { region: hostname === '' ? undefined : hostname, endpoint: undefined, credentials: undefined, query }
  }
  return {
    region: process.env['AWS_REGION'] ?? 'us-east-1',
    endpoint: `http://${host}`,
    credentials:
      username === ''
        ? ANY
        : { accessKeyId: decodeURIComponent(username), secretAccessKey: decodeURIComponent(password) },
    query,
  }
}
