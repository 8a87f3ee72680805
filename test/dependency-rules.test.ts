import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import * as rules from './dependency-rules.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const real: rules.Tree = Object.fromEntries(
  globSync(['{packages,adapters,examples}/*/{src,test}/**/*.ts', 'bench/{src,test}/**/*.ts'], { cwd: root }).map(
    (file) => [file.replaceAll('\\', '/'), readFileSync(`${root}/${file}`, 'utf8')],
  ),
)

test('the real tree is found', () => {
  expect(Object.keys(real)).toContain('packages/core/src/index.ts')
  expect(Object.keys(real)).toContain('adapters/memory/src/index.ts')
})

type Case = { rule: (tree: rules.Tree) => string[]; good: rules.Tree; bad: [file: string, source: string][] }

const cases: Record<string, Case> = {
  'adapters import core and their own client only, never each other': {
    rule: rules.adaptersImportCoreAndTheirClient,
    good: {
      'adapters/kafka/src/adapter.ts': `import { Kafka } from 'kafkajs'; import type { Adapter } from '@polybus/core'; import './feed.ts'; import 'node:crypto'`,
    },
    bad: [
      ['adapters/kafka/src/a.ts', `import '@polybus/memory'`],
      ['adapters/kafka/src/a.ts', `import '../../memory/src/index.ts'`],
      ['adapters/kafka/src/a.ts', `import amqp from 'amqplib'`],
      ['adapters/kafka/src/a.ts', `export type { X } from 'polybus'`],
      ['adapters/kafka/src/a.ts', `const load = () => import('ioredis')`],
      ['adapters/memory/src/a.ts', `type K = import('kafkajs').Kafka`],
    ],
  },
  'core imports no client and does no I/O': {
    rule: rules.coreImportsNoClient,
    good: {
      'packages/core/src/schema.ts': `import type { StandardSchemaV1 } from '@standard-schema/spec'; import { x } from './x.ts'; import { randomUUID } from 'node:crypto'`,
    },
    bad: [
      ['packages/core/src/a.ts', `import { Kafka } from 'kafkajs'`],
      ['packages/core/src/a.ts', `import { StandardSchemaV1 } from '@standard-schema/spec'`],
      ['packages/core/src/a.ts', `import { readFile } from 'node:fs/promises'`],
      ['packages/core/src/a.ts', `import '@polybus/memory'`],
    ],
  },
  'adapter.ts and message.ts hold types only': {
    rule: rules.typesOnly,
    good: {
      'packages/core/src/adapter.ts': `import type { A } from './a.ts'; export interface B { a: A } export type { A }; export type C = B; export {}`,
      'packages/core/src/message.ts': `declare const brand: unique symbol; export type * from './adapter.ts'`,
    },
    bad: [
      ['packages/core/src/adapter.ts', `export const a = 1`],
      ['packages/core/src/adapter.ts', `import './a.ts'`],
      ['packages/core/src/message.ts', `export function a() {}`],
      ['packages/core/src/message.ts', `export { a } from './a.ts'`],
    ],
  },
  'publish/ and consume/ do not import each other': {
    rule: rules.publishAndConsumeAreApart,
    good: {
      'packages/core/src/publish/queue.ts': `import '../clock.ts'; import './publisher.ts'`,
      'packages/core/src/bus.ts': `import './publish/queue.ts'; import './consume/flights.ts'`,
    },
    bad: [
      ['packages/core/src/publish/a.ts', `import { x } from '../consume/flights.ts'`],
      ['packages/core/src/consume/a.ts', `import type { X } from '../publish/queue.ts'`],
    ],
  },
  'there are no import cycles': {
    rule: rules.noCycles,
    good: {
      'packages/core/src/a.ts': `import './b.ts'; import './c.ts'`,
      'packages/core/src/b.ts': `import './c.ts'`,
      'packages/core/src/c.ts': `export {}`,
    },
    bad: [
      ['packages/core/src/c.ts', `import type { A } from './a.ts'`],
      ['packages/core/src/c.ts', `export * from './c.ts'`],
    ],
  },
  'there are no import cycles between packages': {
    rule: rules.noCycles,
    good: {
      'packages/core/src/index.ts': `export {}`,
      'adapters/memory/src/index.ts': `import '@polybus/core'`,
      'packages/polybus/src/index.ts': `import '@polybus/core'; const load = () => import('@polybus/memory')`,
    },
    bad: [
      ['packages/core/src/index.ts', `import 'polybus'`],
      ['adapters/memory/src/index.ts', `import 'polybus'`],
    ],
  },
  'packages are not imported by a path': {
    rule: rules.noDeepImports,
    good: {
      'packages/polybus/src/a.ts': `import '@polybus/core'; import './b.ts'; import 'vitest/node'`,
      'packages/polybus/test/a.test.ts': `import '../src/a.ts'; import '@polybus/core/package.json'`,
    },
    bad: [
      ['packages/polybus/src/b.ts', `import '@polybus/core/dist/clock.js'`],
      ['packages/testkit/src/b.ts', `import 'polybus/src/connect.ts'`],
      ['packages/polybus/src/b.ts', `import '../../core/src/clock.ts'`],
      ['adapters/memory/test/b.test.ts', `await import('../../../packages/core/src/clock.ts')`],
      ['examples/orders/src/main.ts', `import '../../../packages/polybus/src/index.ts'`],
      ['bench/src/main.ts', `import '../../packages/polybus/src/index.ts'`],
    ],
  },
  'only consume/flights.ts settles and extends': {
    rule: rules.onlyFlightsSettles,
    good: {
      'packages/core/src/consume/flights.ts': `feed.settle([]); feed.extend([])`,
      'packages/core/src/consume/decide.ts': `const settle = () => {}; settle(); queue.settled()`,
    },
    bad: [
      ['packages/core/src/consume/a.ts', `await feed.settle([])`],
      ['packages/core/src/bus.ts', `this.feed?.extend([])`],
      ['packages/core/src/dead-letter/a.ts', `feed['settle']([])`],
    ],
  },
  'only the clock touches timers and the time of day': {
    rule: rules.onlyTheClockTellsTime,
    good: {
      'packages/core/src/clock.ts': `setTimeout(run, 1); Date.now(); new Date(); performance.now()`,
      'packages/core/src/a.ts': `new Date(5).toISOString(); clock.now(); clock.setTimeout(run); type T = typeof setTimeout; const o = { setTimeout: 1 }; Date.parse(x)`,
    },
    bad: [
      ['packages/core/src/b.ts', `setTimeout(run, 1)`],
      ['adapters/memory/src/b.ts', `const wait = setInterval`],
      ['packages/polybus/src/b.ts', `const deps = { setImmediate }`],
      ['packages/idempotency/src/b.ts', `globalThis.setTimeout(run)`],
      ['packages/core/src/b.ts', `const at = Date.now()`],
      ['packages/core/src/b.ts', `const clock = { now: globalThis.performance.now }`],
      ['packages/core/src/b.ts', `new Date()`],
      ['packages/core/src/b.ts', `Date()`],
      ['packages/core/src/b.ts', `performance.now()`],
      ['packages/core/src/b.ts', `process.hrtime.bigint()`],
      ['packages/core/src/b.ts', `AbortSignal.timeout(5)`],
      ['packages/core/src/b.ts', `import { setTimeout as sleep } from 'node:timers/promises'`],
    ],
  },
}

describe.each(Object.entries(cases))('%s', (_, { rule, good, bad }) => {
  test('what is allowed passes', () => expect(rule(good)).toEqual([]))
  test.each(bad)('a violation in %s is reported: %s', (file, source) => {
    expect(rule({ ...good, [file]: source })).toContainEqual(expect.stringContaining(file))
  })
  test('the real tree has none', () => expect(rule(real)).toEqual([]))
})

test('every adapter states which client it may import', () => {
  const adapters = globSync('adapters/*', { cwd: root }).map((folder) => folder.replaceAll('\\', '/').split('/')[1])
  expect(Object.keys(rules.clients)).toEqual(expect.arrayContaining(adapters))
})
