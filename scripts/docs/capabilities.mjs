// docs/capabilities.md: what each adapter can do.
import { adapters } from './adapters.mjs'
import { NOTE, size, table, time } from './text.mjs'

/** @typedef {import('@polybus/core').Capabilities} Capabilities */

/** @param {boolean} value */
const yes = (value) => (value ? 'yes' : 'no')

/** @type {readonly { name: string, meaning: string, of: (capabilities: Capabilities) => string }[]} */
const CAPABILITIES = [
  { name: 'ordering', meaning: 'same key, same order, one owner at a time', of: ({ ordering }) => yes(ordering) },
  {
    name: 'groups',
    meaning: 'may a group come after the first message (`any`), or must the channel declare it',
    of: ({ groups }) => `\`${groups}\``,
  },
  {
    name: 'from',
    meaning: 'where a new group may begin',
    of: ({ from }) => from.map((place) => `\`${place}\``).join(', '),
  },
  {
    name: 'delay',
    meaning: 'how the broker keeps the delay of a released retry',
    of: ({ delay }) =>
      delay.kind === 'exact'
        ? `exact${delay.stepMs ? ` in steps of ${time(delay.stepMs)}` : ''}, up to ${time(delay.maxMs)} a hop`
        : `\`${delay.kind}\``,
  },
  {
    name: 'move',
    meaning: 'a copy and the end of the original: in one step, or with a crash between them that leaves two',
    of: ({ move }) => `\`${move}\``,
  },
  {
    name: 'settlement',
    meaning: '`single`: each message for itself; `prefix`: as a position in a log',
    of: ({ settlement }) => `\`${settlement}\``,
  },
  {
    name: 'lease',
    meaning: "how long a delivery is its consumer's",
    of: ({ lease }) =>
      `${lease.ms === null ? 'as long as the connection' : time(lease.ms)}${lease.renewable ? ', renewable' : ''}${lease.maxHoldMs === null ? '' : `, ${time(lease.maxHoldMs)} at most`}`,
  },
  {
    name: 'lateSettle',
    meaning: 'is a settlement that comes too late answered with `LEASE_LOST`',
    of: ({ lateSettle }) => `\`${lateSettle}\``,
  },
  {
    name: 'persistent',
    meaning: "messages outlive the process that published them; `durability: 'strict'` asks for it",
    of: ({ persistent }) => yes(persistent),
  },
  {
    name: 'crashGuard',
    meaning: 'hand-overs above the attempts after which a message is taken for one that kills its process',
    of: ({ crashGuard }) => (crashGuard === null ? 'no count' : String(crashGuard)),
  },
  {
    name: 'releaseHeaders',
    meaning: "a held retry's count survives a stop, on a channel with a key too",
    of: ({ releaseHeaders }) => yes(releaseHeaders),
  },
  {
    name: 'orderedBatch',
    meaning: 'several messages of one key may leave in one batch',
    of: ({ orderedBatch }) => yes(orderedBatch),
  },
  {
    name: 'headers',
    meaning: 'what headers keep',
    of: ({ headers }) =>
      Object.entries(headers)
        .map(([what, keeps]) => `${keeps ? '' : 'not '}${what}`)
        .join(', '),
  },
  { name: 'tombstones', meaning: 'messages without a body', of: ({ tombstones }) => yes(tombstones) },
  {
    name: 'maxBytes',
    meaning: "the broker's own limit of a message; a channel's `maxBytes` holds too",
    of: ({ maxBytes }) => (maxBytes === null ? 'none' : size(maxBytes)),
  },
  {
    name: 'browse',
    meaning: 'a look at dead letters; `exclusive` hides them from others meanwhile',
    of: ({ browse }) => `\`${browse}\``,
  },
  {
    name: 'rewind',
    meaning: 'where a group may be moved to',
    of: ({ rewind }) => (rewind.length === 0 ? 'no' : rewind.map((target) => `\`${target}\``).join(', ')),
  },
  .../** @type {const} */ (['backlog', 'inFlight', 'oldestAgeMs', 'deadLetters']).map((number) => ({
    name: `stats.${number}`,
    meaning: 'how far the number can be believed; without it is null',
    of: (/** @type {Capabilities} */ { stats }) => stats[number] ?? 'null',
  })),
  {
    name: 'transactional',
    meaning:
      "`delivery: 'transactional'`: what a handler publishes and its message's settlement happen together or not at all",
    of: ({ transactional }) => yes(transactional),
  },
  {
    name: 'priority',
    meaning:
      '`publish(…, { priority })`; on RabbitMQ without a key it depends on the queues and, for quorum queues, on the server ([4.0](brokers/rabbitmq.md#priorities))',
    of: ({ priority }) => yes(priority),
  },
  { name: 'delayedPublish', meaning: '`publish(…, { delay })`', of: ({ delayedPublish }) => yes(delayedPublish) },
  { name: 'processes', meaning: 'several processes share a group', of: ({ processes }) => yes(processes) },
  { name: 'credentials', meaning: 'the broker checks who connects', of: ({ credentials }) => yes(credentials) },
]

/** @returns {string} */
export function capabilitiesPage() {
  const described = new Set(CAPABILITIES.map(({ name }) => name.split('.')[0]))
  for (const { name, keyed } of adapters) {
    const missing = Object.keys(keyed).filter((key) => !described.has(key))
    if (missing.length > 0)
      throw new Error(`${name} declares ${missing.join(', ')}: describe it in scripts/generate-docs.mjs.`)
  }
  const rows = CAPABILITIES.map(({ name, meaning, of }) => [
    `\`${name}\``,
    ...adapters.map(({ keyed, unkeyed }) =>
      of(keyed) === of(unkeyed) ? of(keyed) : `with a key: ${of(keyed)}; without: ${of(unkeyed)}`,
    ),
    meaning,
  ])
  return `# Capabilities

${NOTE}

What each adapter says of itself. Core refuses by this record, the conformance suite derives its cases from it, and this page
is written from it. What a combination of these and of your options comes to is in [combinations](combinations.md).

${table(['capability', ...adapters.map(({ name }) => name), 'means'], rows)}
`
}
