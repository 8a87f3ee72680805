// A registry that misbehaves: every request ends in time, with a typed error that says what to do.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { afterEach, describe, expect, test } from 'vitest'
import { checkOptions, type RegistryOptions } from '../src/options.ts'
import { createRest } from '../src/rest.ts'
import { systemClock } from '@polybus/core'

const servers: { close(): void }[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})
async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  servers.push({ close: () => (server.closeAllConnections(), server.close()) })
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`
}
const ask = (url: string, more: Partial<RegistryOptions> = {}): Promise<unknown> =>
  createRest(checkOptions({ url, timeout: '300ms', ...more }), systemClock()).call('GET', [
    'subjects',
    'a/b c',
    'versions',
    'latest',
  ])
const refused = async (answer: RequestListener, code: string, text: string | RegExp): Promise<void> =>
  expect(ask(await serve(answer))).rejects.toMatchObject({ code, message: expect.stringMatching(text) })
const json =
  (status: number, body: unknown): RequestListener =>
  (_, response) =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))

test('an answer, at the path that is asked for, with the credentials', async () => {
  let seen: unknown
  const url = await serve((request, response) => {
    seen = [request.url, request.headers.authorization, request.headers.accept]
    response.end('{"id":1}')
  })
  expect(await ask(`${url}/apis/ccompat/v7/`, { auth: { username: 'me', password: 'p:w' } })).toEqual({ id: 1 })
  expect(seen).toEqual([
    '/apis/ccompat/v7/subjects/a%2Fb%20c/versions/latest',
    `Basic ${Buffer.from('me:p:w').toString('base64')}`,
    'application/vnd.schemaregistry.v1+json, application/json',
  ])
  expect(await ask(url.replace('//', '//user:p%40ss@'))).toEqual({ id: 1 })
  expect((seen as string[])[1]).toBe(`Basic ${Buffer.from('user:p@ss').toString('base64')}`)
})
test('nobody is there', async () => {
  await expect(ask('http://127.0.0.1:1')).rejects.toMatchObject({
    code: 'REGISTRY_UNAVAILABLE',
    retryable: true,
    message: expect.stringContaining('ECONNREFUSED'),
  })
  await expect(ask('http://nowhere.invalid')).rejects.toMatchObject({ code: 'REGISTRY_UNAVAILABLE' })
})
test('it is silent, or falls silent', async () => {
  await refused(() => {}, 'REGISTRY_UNAVAILABLE', 'no answer within 300 ms')
  await refused((_, response) => void response.write('{'), 'REGISTRY_UNAVAILABLE', 'no answer within 300 ms')
  await refused((request) => void request.socket.destroy(), 'REGISTRY_UNAVAILABLE', 'socket hang up')
})
test('a connection that was kept, and that it has closed meanwhile, is no failure', async () => {
  let requests = 0
  const url = await serve((request, response) => {
    if (++requests === 2) request.socket.destroy()
    else response.end('{"id":1}')
  })
  const rest = createRest(checkOptions({ url, timeout: '300ms' }), systemClock())
  expect(await rest.call('GET', ['a'])).toEqual({ id: 1 })
  expect(await rest.call('GET', ['b'])).toEqual({ id: 1 })
  expect(requests).toBe(3)
})
test('it talks of something else', async () => {
  await refused((_, response) => void response.end('<html>'), 'REGISTRY_UNAVAILABLE', 'no JSON: <html>')
  await refused((_, response) => void response.writeHead(404).end('<html>'), 'REGISTRY_UNAVAILABLE', 'look at its url')
  await refused(json(404, { message: 'Not found' }), 'REGISTRY_UNAVAILABLE', 'look at its url')
})
test('it refuses', async () => {
  await refused(json(401, { error_code: 40101, message: 'who?' }), 'REGISTRY_UNAVAILABLE', 'refuses the credentials')
  await refused(
    json(404, { error_code: 40401, message: 'Subject not found.' }),
    'SCHEMA_NOT_REGISTERED',
    'Subject not found',
  )
  await refused(json(409, { error_code: 409, message: 'incompatible' }), 'SCHEMA_INCOMPATIBLE', 'incompatible')
  await refused(json(422, { error_code: 42201, message: 'no Avro' }), 'SCHEMA_INVALID', 'no Avro')
  await refused(json(500, { error_code: 50001, message: 'store' }), 'REGISTRY_UNAVAILABLE', 'store')
  await refused(json(429, {}), 'REGISTRY_UNAVAILABLE', '429')
})
test('secrets are not told', async () => {
  const url = await serve(json(401, {}))
  const error = await ask(url.replace('//', '//user:hush@')).catch(String)
  expect(error).not.toContain('hush')
})
test('options that are wrong', () => {
  const table: [unknown, RegExp][] = [
    [undefined, /schemaRegistry\(\)/],
    [{}, /url: expected an http/],
    [{ url: 'localhost:8081' }, /url: expected an http/],
    [{ url: 'http://a?b' }, /no query/],
    [{ url: 'http://a', timeout: 5 }, /timeout/],
    [{ url: 'http://a', timeout: '0ms' }, /timeout/],
    [{ url: 'http://a', auth: { username: 'a' } }, /auth/],
    [{ url: 'http://a', tls: { caFile: 'x' } }, /tls\.caFile/],
    [{ url: 'http://a', hosts: [] }, /hosts/],
  ]
  for (const [options, text] of table)
    expect(() => checkOptions(options as RegistryOptions)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringMatching(text) }),
    )
})

describe('TLS', () => {
  // Of this test alone: made by openssl for localhost, for a hundred years.
  const own = (name: string): string => readFileSync(new URL(`fixtures/localhost.${name}`, import.meta.url), 'utf8')
  const [cert, key] = [own('crt'), own('key')]
  const secure = async (more: object = {}): Promise<string> => {
    const server = createSecureServer({ cert, key, ...more }, (request, response) => {
      const { authorized } = request.socket as TLSSocket
      response.end(JSON.stringify({ id: 1, known: authorized }))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    servers.push({ close: () => (server.closeAllConnections(), server.close()) })
    return `https://localhost:${(server.address() as { port: number }).port}`
  }
  test('a certificate is checked: one that nobody vouches for is refused, with `ca` it is not', async () => {
    const url = await secure()
    await expect(ask(url)).rejects.toMatchObject({
      code: 'REGISTRY_UNAVAILABLE',
      message: expect.stringContaining('self-signed certificate'),
    })
    expect(await ask(url, { tls: { ca: cert } })).toMatchObject({ id: 1 })
  })
  test('a registry that wants to know who asks gets our certificate', async () => {
    const url = await secure({ requestCert: true, rejectUnauthorized: true, ca: cert })
    await expect(ask(url, { tls: { ca: cert } })).rejects.toMatchObject({ code: 'REGISTRY_UNAVAILABLE' })
    expect(await ask(url, { tls: { ca: cert, cert, key } })).toEqual({ id: 1, known: true })
  })
})
