// Requests to the registry: each ends in time, with its answer or with a typed error.
import { request as http } from 'node:http'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent, request as https } from 'node:https'
import { type Clock, PolybusError } from '@polybus/core'
import type { RegistrySettings } from './options.ts'

export interface Rest {
  /**
   * @param path below the registry's address, each part encoded.
   * @throws {PolybusError} `REGISTRY_UNAVAILABLE` where it cannot say; `SCHEMA_NOT_REGISTERED`, `SCHEMA_INCOMPATIBLE` and `SCHEMA_INVALID` where it says no.
   */
  call(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: readonly string[],
    body?: object,
    query?: string,
  ): Promise<unknown>
}

const MEDIA = 'application/vnd.schemaregistry.v1+json'
const MAX_ANSWER_BYTES = 64 * 2 ** 20

export function createRest({ url, auth, tls, timeoutMs }: RegistrySettings, clock: Pick<Clock, 'timer'>): Rest {
  const secure = url.protocol === 'https:'
  const agent = secure ? new HttpsAgent({ keepAlive: true, ...tls }) : new HttpAgent({ keepAlive: true })
  const base = url.pathname.replace(/\/+$/, '')
  const headers: Record<string, string> = { accept: `${MEDIA}, application/json`, 'accept-encoding': 'identity' }
  if (auth) headers['authorization'] = `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}`

  const send = (method: string, path: string, body: Buffer | undefined): Promise<{ status: number; text: string }> =>
    new Promise((resolve, reject) => {
      const late = new Error(`no answer within ${timeoutMs} ms`)
      const timer = clock.timer(timeoutMs, () => call.destroy(late))
      const call = (secure ? https : http)({
        host: url.hostname.replace(/^\[|\]$/g, ''),
        port: url.port || (secure ? 443 : 80),
        method,
        path,
        agent,
        headers: body ? { ...headers, 'content-type': MEDIA, 'content-length': body.length } : headers,
      })
      call.on('error', (error) => {
        // The server closed a connection that we kept, while we took it up again: it has not seen the request.
        if (call.reusedSocket && (error as NodeJS.ErrnoException).code === 'ECONNRESET')
          resolve(send(method, path, body))
        else reject(error)
      })
      call.on('close', () => {
        timer.cancel()
        reject(new Error('the connection ended without an answer'))
      })
      call.on('upgrade', (_, socket) => {
        timer.cancel()
        socket.destroy()
        reject(new Error('it answered with another protocol'))
      })
      call.on('response', (response) => {
        const chunks: Buffer[] = []
        let bytes = 0
        response.on('error', reject)
        response.on('data', (chunk: Buffer) => {
          chunks.push(chunk)
          bytes += chunk.length
          if (bytes > MAX_ANSWER_BYTES) call.destroy(new Error(`its answer is longer than ${MAX_ANSWER_BYTES} bytes`))
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }))
      })
      call.end(body)
    })

  return {
    async call(method, path, body, query) {
      const at = `${base}/${path.map(encodeURIComponent).join('/')}${query === undefined ? '' : `?${query}`}`
      const what = `${method} ${url.origin}${at}`
      let answer: { status: number; text: string }
      try {
        answer = await send(method, at, body && Buffer.from(JSON.stringify(body)))
      } catch (error) {
        throw unavailable(what, causeOf(error), error)
      }
      const { status, text } = answer
      const said = read(text)
      if (status >= 200 && status < 300) {
        if (said === undefined) throw unavailable(what, `its answer is no JSON: ${text.slice(0, 100)}`)
        return said
      }
      throw refusal(what, status, said)
    },
  }
}

interface Refusal {
  readonly error_code?: number
  readonly message?: string
}

function refusal(what: string, status: number, said: unknown): PolybusError {
  const { error_code: code, message = 'no reason given' } = (said ?? {}) as Refusal
  const text = `${what}: ${message} (${code ?? status})`
  if (status === 404) {
    // Another 404 is that of a wrong address, which says nothing about a schema.
    if (code !== undefined && code >= 40_400 && code < 40_500) return new PolybusError('SCHEMA_NOT_REGISTERED', text)
    return unavailable(what, 'nothing of a schema registry is there (404): look at its url')
  }
  if (status === 409) return new PolybusError('SCHEMA_INCOMPATIBLE', text)
  if (status === 422) return new PolybusError('SCHEMA_INVALID', text)
  if (status === 401 || status === 403) return unavailable(what, `it refuses the credentials (${status})`)
  return unavailable(what, `${message} (${code ?? status})`)
}

const unavailable = (what: string, why: string, cause?: unknown): PolybusError =>
  new PolybusError('REGISTRY_UNAVAILABLE', `${what}: ${why}.`, { cause })

function read(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Of several addresses that were tried there is one error each, and none of them has its own text. */
function causeOf(error: unknown): string {
  const { message, code, errors } = error as { message?: string; code?: string; errors?: readonly Error[] }
  return message || errors?.[0]?.message || code || String(error)
}
