// V8 makes a function that is written straight into a property (`call.end = () => …`) as an old object, because most of such
// functions are methods that live long. Each of a message's then keeps alive, until a full collection, all that it can see.
// docs/decisions/0009-throughput.md
import { globSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const INTO_A_PROPERTY = /^\s*[\w.#]*\w\.#?\w+ (\?\?)?= (async )?(\([^()]*\)|\w+)(: [\w<>, |]+)? =>/

const found = (source: string): readonly string[] => source.split('\n').filter((line) => INTO_A_PROPERTY.test(line))

test('closures: what is looked for is found', () => {
  const source = [
    'call.end = () => reject()',
    '  this.#end = async (reason: Error): Promise<void> => reject(reason)',
    'entry.onAbort ??= error => reject(error)',
    'const end = () => reject()',
    'call.end = end',
    "const send: Parked['send'] = async (place) => place",
  ].join('\n')
  expect(found(source)).toEqual(source.split('\n').slice(0, 3))
})

// Those of an adapter that set up a connection live as long as it does.
test.each([
  ...globSync('packages/core/src/**/*.ts'),
  'adapters/redis/src/replies.ts',
  'adapters/redis/src/exchange.ts',
])('closures: %s writes none into a property', (file) => {
  expect(found(readFileSync(file, 'utf8'))).toEqual([])
})
