// The tables of docs/guide/defaults.md.
import { DEFAULTS } from '@polybus/core'
// Not public, and the same files that the package holds.
import { DEFAULT_MAX_BYTES } from '../../packages/core/dist/channel.js'
import { DEFAULT_RETRY } from '../../packages/core/dist/consume/retry.js'
import { many, size, table, time } from './text.mjs'

/** Jitter shortens by chance, so that the longest of many is the delay itself. @param {number} attempt */
const delay = (attempt) => {
  const { random } = Math
  Math.random = () => 0
  const ms = DEFAULT_RETRY.backoff.delayMs(attempt)
  Math.random = random
  return ms
}

const consumerDefaults = () =>
  table(
    ['of a consumer', 'default', 'unit and range'],
    [
      [
        '`concurrency`',
        `${DEFAULTS.concurrency}; batches ${DEFAULTS.batchConcurrency}`,
        'handlers (batches) at one time, 1 to 10,000',
      ],
      ['`timeout`', time(DEFAULTS.timeoutMs), 'for one attempt, at least 1 ms'],
      ['`retry.attempts`', String(DEFAULT_RETRY.attempts), 'starts of the handler, the first included, 1 to 1,000,000'],
      [
        '`retry.backoff`',
        `exponential: ${[1, 2, 3, 4].map((attempt) => time(delay(attempt))).join(', ')}, …, ${time(delay(1000))}`,
        'each up to 20 % shorter, by chance',
      ],
      ['`retry.wait`', 'held with a key, else released', 'held too where the broker has no delays'],
      [
        '`retry.rules`',
        DEFAULT_RETRY.rules.length === 0 ? 'none' : String(DEFAULT_RETRY.rules.length),
        'the first that matches counts',
      ],
      ['`deadLetter`', '`true`', '`false`: what fails for good is discarded and counted'],
      ['`delivery`', '`at-least-once`', '`at-most-once`, `transactional`'],
      ['`idempotency`', 'none', 'a store'],
      ['`idempotencyKey`', 'source and id of the message', ''],
      ['`from`', '`beginning` where the broker keeps history, else `end` with a warning', ''],
      ['`unknownTypes`', "`dead-letter`; with `on['*']` that handler", '`ignore`'],
    ],
  )

const busDefaults = () =>
  table(
    ['of `connect()`', 'default', 'unit'],
    [
      ['`service`', `\`${DEFAULTS.service}\``, 'CloudEvents `source`'],
      ['`connectTimeout`', time(DEFAULTS.connectTimeoutMs), ''],
      ['`grace`', time(DEFAULTS.graceMs), 'for running handlers at `stop` and `close`'],
      ['`publishing.timeout`', time(DEFAULTS.publishTimeoutMs), 'for one publish'],
      ['`publishing.bufferMessages`', many(DEFAULTS.bufferMessages), 'messages'],
      ['`publishing.bufferBytes`', size(DEFAULTS.bufferBytes), 'as the broker counts'],
      ['`publishing.whenFull`', '`wait`', '`reject`, `drop-oldest`'],
      ['`topology`', '`create`', '`verify`, `none`'],
      ['`durability`', '`report`', '`strict`'],
      ['`logger`', 'warnings and errors to the console', ''],
    ],
  )

const channelDefaults = () =>
  table(
    ['of a channel', 'default', 'unit and range'],
    [
      ['`key`', 'none: no order', ''],
      ['`groups`', 'none declared', 'names'],
      ['`codec`', '`json`', '`text`, `bytes`, your own'],
      ['`type`', "the channel's name", 'CloudEvents `type`'],
      ['`partitions`', "the adapter's", '1 to 1,024'],
      ['`maxBytes`', size(DEFAULT_MAX_BYTES), 'of a message, headers included'],
      ['`version`', 'none, read as 1', '1 to 1,000,000'],
      ['`upcast`', 'none', 'a step from each older version to the next'],
    ],
  )

/** The page with its tables. @param {string} page */
export function defaultsPage(page) {
  const parts = { channels: channelDefaults(), consumers: consumerDefaults(), bus: busDefaults() }
  let text = page
  for (const [name, part] of Object.entries(parts)) {
    const place = new RegExp(`(<!-- made by npm run docs: ${name} -->\n\n)[^]*?(<!-- end -->)`)
    if (!place.test(text)) throw new Error(`docs/guide/defaults.md has no place for '${name}'.`)
    text = text.replace(place, (_, before, after) => `${before}${part}\n\n${after}`)
  }
  return text
}
