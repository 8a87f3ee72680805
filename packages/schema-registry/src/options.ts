// What a registry is given, checked.
import { checkKeys, type Duration, invalid, optionalDuration, show, type Opt } from '@polybus/core'

export interface TlsOptions {
  /** PEM of the authorities that are trusted instead of the system's. */
  readonly ca?: string | undefined
  /** PEM of our own certificate and its key, where the registry wants one. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
}
export interface RegistryOptions extends Opt<{
  /** Basic authentication. */
  auth: { readonly username: string; readonly password: string }
  tls: TlsOptions
  /** For one request. Default 5 s. */
  timeout: Duration
  /** How long a request that failed is answered by the same failure, so that a registry that is down is not flooded. Default 1 s. */
  failureTtl: Duration
  /** How long the latest schema of a subject is taken for the latest. Default 5 min. */
  latestTtl: Duration
}> {
  /** Where Confluent's API is, its path included: `http://localhost:8081`, `https://registry.example.com/apis/ccompat/v7`. */
  readonly url: string
}

export interface RegistrySettings {
  readonly url: URL
  readonly auth: { readonly username: string; readonly password: string } | undefined
  readonly tls: TlsOptions
  readonly timeoutMs: number
  readonly failureTtlMs: number
  readonly latestTtlMs: number
}

const KNOWN = ['url', 'auth', 'tls', 'timeout', 'failureTtl', 'latestTtl']
const WHERE = 'schemaRegistry()'

/** @throws {PolybusError} `INVALID_OPTION` naming the field. */
export function checkOptions(options: RegistryOptions): RegistrySettings {
  checkKeys(options, KNOWN, WHERE)
  const { auth, tls = {} } = options
  const url = parse(options.url)
  const inUrl =
    url.username === '' && url.password === ''
      ? undefined
      : { username: plain(url.username), password: plain(url.password) }
  if (auth !== undefined) {
    checkKeys(auth, ['username', 'password'], `${WHERE}.auth`)
    if (typeof auth.username !== 'string' || typeof auth.password !== 'string')
      throw invalid(`${WHERE}.auth`, 'expected username and password, both texts.')
  }
  checkKeys(tls, ['ca', 'cert', 'key'], `${WHERE}.tls`)
  url.username = url.password = ''
  return {
    url,
    auth: auth ?? inUrl,
    tls,
    timeoutMs: optionalDuration(options.timeout, `${WHERE}.timeout`, 1) ?? 5000,
    failureTtlMs: optionalDuration(options.failureTtl, `${WHERE}.failureTtl`) ?? 1000,
    latestTtlMs: optionalDuration(options.latestTtl, `${WHERE}.latestTtl`) ?? 300_000,
  }
}

function parse(text: unknown): URL {
  const url = typeof text === 'string' && URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
    // What stands before an @ may be a password, in whatever else is wrong.
    throw invalid(
      `${WHERE}.url`,
      `expected an http or https address, got ${typeof text === 'string' && text.includes('@') ? 'something else, with credentials' : show(text)}.`,
    )
  if (url.search !== '' || url.hash !== '') throw invalid(`${WHERE}.url`, 'expected no query and no fragment.')
  return url
}

/** A percent sign may stand for itself. */
function plain(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
