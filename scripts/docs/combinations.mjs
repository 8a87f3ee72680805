// docs/combinations.md: what is refused, and what to use instead.
import { DEFAULTS, RULES } from '@polybus/core'
import { adapters } from './adapters.mjs'
import { NOTE, table } from './text.mjs'

/** @typedef {import('@polybus/core').Capabilities} Capabilities */
/** @typedef {import('@polybus/core').Situation} Situation */
/** @typedef {{ readonly [dimension: string]: string }} Cell */

/** Every choice of a consumer that a rule looks at, but for the durations. */
const DIMENSIONS = /** @type {const} */ ({
  delivery: ['at-least-once', 'at-most-once', 'transactional'],
  store: ['none', 'claim', 'transactional'],
  retries: ['default', 'asked for'],
  wait: ['default', 'held', 'released'],
  key: ['yes', 'no'],
  batch: ['yes', 'no'],
  deadLetter: ['default', 'in-order'],
})

/** @returns {Cell[]} */
function cells() {
  /** @type {Cell[]} */
  let list = [{}]
  for (const [name, values] of Object.entries(DIMENSIONS))
    list = list.flatMap((cell) => values.map((value) => ({ ...cell, [name]: value })))
  return list
}

/** @param {Cell} cell @param {Capabilities} capabilities @returns {Situation} */
function situation(cell, capabilities) {
  const { delivery, store, wait } =
    /** @type {{ delivery: Situation['delivery'], store: Situation['store'], wait: string }} */ (
      /** @type {unknown} */ (cell)
    )
  return {
    delivery,
    store,
    keyed: cell['key'] === 'yes',
    batch: cell['batch'] === 'yes',
    inOrder: cell['deadLetter'] === 'in-order',
    parking: store === 'none' ? 'none' : 'durable',
    wait: wait === 'default' ? undefined : /** @type {'held' | 'released'} */ (wait),
    from: undefined,
    retries: cell['retries'] === 'asked for',
    timeoutMs: DEFAULTS.timeoutMs,
    heldMs: 0,
    capabilities,
  }
}

/**
 * As few rows as possible that cover these cells and no others: along one dimension after the other, rows that are equal
 * but for it become one.
 *
 * @param {readonly Cell[]} refused
 */
function merged(refused) {
  /** @type {{ [dimension: string]: readonly string[] }[]} */
  let rows = refused.map((cell) => Object.fromEntries(Object.entries(cell).map(([name, value]) => [name, [value]])))
  for (const name of Object.keys(DIMENSIONS)) {
    /** @type {Map<string, { [dimension: string]: readonly string[] }>} */
    const groups = new Map()
    for (const row of rows) {
      const others = JSON.stringify({ ...row, [name]: [] })
      const known = groups.get(others)
      if (known) known[name] = [...(known[name] ?? []), ...(row[name] ?? [])]
      else groups.set(others, { ...row })
    }
    rows = [...groups.values()]
  }
  return rows
}

/** @param {string} name @param {readonly string[]} values */
function choice(name, values) {
  const all = /** @type {{ [name: string]: readonly string[] }} */ (DIMENSIONS)[name] ?? []
  return values.length === all.length
    ? 'any'
    : all
        .filter((value) => values.includes(value))
        .map((value) => (/^(yes|no|none|default|asked for)$/.test(value) ? value : `\`${value}\``))
        .join(', ')
}

/** @param {(typeof adapters)[number]} adapter */
function refusedBy({ name, keyed, unkeyed }) {
  const all = cells()
  const judged = all.map((cell) => ({
    cell,
    rule: RULES.find(({ when }) => when(situation(cell, cell['key'] === 'yes' ? keyed : unkeyed))),
  }))
  const refused = judged.filter(({ rule }) => rule !== undefined)
  const rows = RULES.flatMap((rule) =>
    merged(refused.filter((one) => one.rule === rule).map(({ cell }) => cell)).map((row) => [
      ...Object.keys(DIMENSIONS).map((dimension) => choice(dimension, row[dimension] ?? [])),
      rule.feature,
      rule.alternative,
    ]),
  )
  return `## ${name}

Of ${all.length} combinations ${all.length - refused.length} exist. These ${refused.length} are refused:

${table(['`delivery`', '`idempotency` store', '`retry`', '`retry.wait`', 'key', '`batch`', '`deadLetter`', 'refused', 'instead'], rows)}`
}

/** @returns {string} */
export function combinationsPage() {
  return `# Combinations

${NOTE}

Not every choice goes with every other, and not with every broker. What does not exist is refused at \`start\` with
\`UNSUPPORTED\`, which names the adapter, the feature and the nearest alternative. Nothing is emulated in silence.

- \`idempotency\` store: \`claim\` stores are those such as \`memoryStore\`; a \`transactional\` one commits together with the handler's writes.
- \`retry\`: *asked for* means a consumer whose own \`retry.attempts\` is above 1.
- \`retry.wait\`: *default* is held with a key, released without one; held too where the broker has no delays.
- \`deadLetter\`: here every store can park what waits behind dead letters, and outlives its process; \`memoryStore\` does only for the memory broker.

${adapters.map(refusedBy).join('\n\n')}

## Every rule

The first that applies is the one that is named. Some depend on durations or on \`from\`, and are not in the tables above;
some apply to brokers of later adapters alone.

${table(
  ['refused', 'instead'],
  RULES.map(({ feature, alternative }) => [feature, alternative]),
)}
`
}
