import { PolybusError } from '@polybus/core'
import { expect, test } from 'vitest'
import { redis, type RedisOptions } from '../src/index.ts'

const url = 'redis://user:s3cret@127.0.0.1:6379'
const wrong: readonly [what: string, options: unknown, named: RegExp][] = [
  ['no address', {}, /redis\(\)\.url/],
  ['no host', 'redis:', /redis\(\)\.url/],
  ['several hosts', 'redis://user:s3cret@a:1,b:2', /redis\(\)\.url/],
  ['another scheme', 'http://user:s3cret@a', /redis\(\)\.url/],
  ['a path that is no database', 'redis://user:s3cret@a/x', /redis\(\)\.url/],
  ['an unknown option of the URL', `${url}?lease=5`, /lease/],
  ['a wrong option of the URL', `${url}?leaseMs=soon`, /redis\(\)\.leaseMs/],
  ['an unknown option', { url, lease: 5 }, /lease/],
  ['a negative lease', { url, leaseMs: -1 }, /redis\(\)\.leaseMs/],
  ['too many partitions', { url, partitions: 1000 }, /redis\(\)\.partitions/],
  ['an unknown hazard', { url, acceptedHazards: ['fire'] }, /redis\(\)\.acceptedHazards/],
  ['a client and a URL', { url, client: {} }, /redis\(\)\.client/],
  ['a key prefix', { connection: { host: 'a', keyPrefix: 'x' } }, /keyPrefix/],
  ['no sentinels', { connection: { sentinels: [], name: 'm' } }, /connection\.sentinels/],
  ['sentinels of no master', { connection: { sentinels: [{ host: 'a' }] } }, /connection\.name/],
  ['a replica', { connection: { sentinels: [{ host: 'a' }], name: 'm', role: 'slave' } }, /connection\.role/],
  ['an unknown option of a channel', { url, channels: { orders: { strem: 'x' } } }, /redis\(\)\.channels\.orders/],
  [
    'an empty option of a channel',
    { url, channels: { orders: { stream: '' } } },
    /redis\(\)\.channels\.orders\.stream/,
  ],
  [
    'an unknown envelope',
    { url, channels: { orders: { envelope: 'avro' } } },
    /redis\(\)\.channels\.orders\.envelope: expected 'cloudevents'/,
  ],
  [
    'an envelope of what are no functions',
    { url, channels: { orders: { envelope: { key: 'customer' } } } },
    /redis\(\)\.channels\.orders\.envelope\.key: expected a function/,
  ],
  ['trim that is no switch', { url, trim: 'no' }, /redis\(\)\.trim/],
]

test.each(wrong)('redis: refuses %s, by its name, and shows no secret', (_, options, named) => {
  let error: unknown
  try {
    redis(options as RedisOptions)
  } catch (thrown) {
    error = thrown
  }
  expect(PolybusError.is(error, 'INVALID_OPTION')).toBe(true)
  expect(String((error as Error).message)).toMatch(named)
  expect(String((error as Error).stack)).not.toContain('s3cret')
})

test('redis: takes a URL with options, and has no client before it is connected', () => {
  expect(redis(`${url}/3?leaseMs=5000&laneLeaseMs=3000`).client).toBeUndefined()
  expect(redis(`rediss://a`).name).toBe('redis')
})
