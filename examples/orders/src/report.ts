// What people read: a progress bar, a table, and what to make of it.
import type { DeadLetter } from 'polybus'
import type { Ledger } from './ledger.ts'
import type { Purchase } from './purchases.ts'
import { LATENCY_MS } from './services.ts'
import { GROUPS } from './groups.ts'
import type { Summary } from './summary.ts'

const BAR = 40

/** Draws on a terminal, and nowhere else. Returns what takes it away. */
export function progressBar(ledger: Ledger): () => void {
  const { stderr } = process
  if (!stderr.isTTY) return () => {}
  const draw = (): void => {
    const done = ledger.progress()
    const bar = '█'.repeat(Math.floor(done * BAR)).padEnd(BAR, '░')
    stderr.write(`\r${bar} ${Math.floor(done * 100)} % of six groups`)
  }
  const timer = setInterval(draw, 100)
  return () => {
    clearInterval(timer)
    stderr.write('\r\x1b[K')
  }
}

/** A row a group. */
export function table(ledger: Ledger): string {
  const head = ['group', 'handled', 'deliveries', 'retries', 'absorbed', 'per second', 'p50', 'p99', 'dead letters']
  const rows = GROUPS.map((group) => {
    const { handled, deliveries, retries, absorbed, letters, latencies, endedAt } = ledger.of(group)
    const perSecond = Math.round((deliveries * 1000) / (endedAt - ledger.startedAt))
    const counts = [handled, deliveries, retries, absorbed, perSecond].map(count)
    return [group, ...counts, time(latencies, 0.5), time(latencies, 0.99), reasons(letters)]
  })
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: string[]): string =>
    cells
      .map((cell, at) =>
        at === 0 || at === head.length - 1 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0),
      )
      .join('  ')
      .trimEnd()
  return [
    ...[head, ...rows].map(line),
    "absorbed: repeated orders that the group's idempotency store kept from its handler; p50, p99: from publish to handled",
  ].join('\n')
}

/** What the customer waits for, beside what waiting for the six services would take. */
export function waiting({ publishMs, workMs }: Ledger, processes: number): string {
  const row = (what: string, values: Float64Array): string => {
    const known = values.filter((value) => value > 0)
    return `  ${what.padEnd(44)}  p50 ${time(known, 0.5).padStart(7)}   p99 ${time(known, 0.99).padStart(7)}`
  }
  return [
    'What a customer waits for:',
    row('the publish alone', publishMs),
    row('calling the six services one after another', workMs),
    `Both as measured in ${processes > 0 ? 'the publishing' : 'this one'} process, which takes in orders as fast as the slowest group can handle them. A service`,
    `call here is a timer (${LATENCY_MS} ms for all six when nothing else runs), and is repeated where it failed.`,
  ].join('\n')
}

export function declined(letters: readonly DeadLetter<Purchase>[]): string {
  if (letters.length === 0) return 'No charge was declined.'
  const first = letters.slice(0, 3).map(({ id, value, error, attempts }) => {
    const text = `order ${id}, ${dollars(value?.cents ?? 0)}: ${error.name}, ${error.message}`
    return `  ${text} (${attempts} attempt${attempts === 1 ? '' : 's'})`
  })
  const more = letters.length > first.length ? [`  and ${letters.length - first.length} more`] : []
  return [`${letters.length} charges were declined and wait as dead letters:`, ...first, ...more].join('\n')
}

export function verdict(summary: Summary): string {
  const mark = (holds: boolean, text: string): string => `${holds ? 'ok  ' : 'FAIL'}  ${text}`
  const { charged_cents: charged, expected_cents: expected, order_violations: violations, lost } = summary
  const { repeated_effects: again } = summary
  return [
    mark(
      charged === expected,
      `charged ${dollars(charged)}, to the cent${charged === expected ? '' : `: not ${dollars(expected)}`}`,
    ),
    mark(violations === 0, `each customer's order was kept in every group (${count(violations)} violations)`),
    mark(lost === 0, `nothing was lost (${count(lost)} orders without an end)`),
    mark(again === 0, `nothing was done twice (${count(again)} repeated effects)`),
    ...(summary.ok || charged !== expected || violations > 0 || lost > 0 || again > 0
      ? []
      : [mark(false, 'some orders are still dead letters')]),
  ].join('\n')
}

export const count = (value: number): string => value.toLocaleString('en-US')

const dollars = (cents: number): string => `$${(cents / 100).toLocaleString('en-US', { minimumFractionDigits: 2 })}`

function time(values: Float64Array, quantile: number): string {
  const value = values.toSorted()[Math.floor((values.length - 1) * quantile)]
  if (value === undefined) return '-'
  return value < 1000 ? `${value.toFixed(value < 10 ? 1 : 0)} ms` : `${(value / 1000).toFixed(1)} s`
}

function reasons(letters: readonly DeadLetter<Purchase>[]): string {
  const found = new Map<string, number>()
  for (const { reason, error } of letters) {
    const text = reason === 'attempts-exhausted' ? error.name : reason
    found.set(text, (found.get(text) ?? 0) + 1)
  }
  const most = [...found].sort(([, a], [, b]) => b - a)
  return `${letters.length}: ${most.map(([reason, times]) => `${times} ${reason}`).join(', ')}`
}
