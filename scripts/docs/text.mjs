// How the generated pages write tables, times and sizes.

export const NOTE = '<!-- Made by `npm run docs` from the code. Edit scripts/generate-docs.mjs instead. -->'

/** @param {readonly string[]} head @param {readonly (readonly string[])[]} rows */
export const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')

/** @param {number} ms */
export function time(ms) {
  for (const [size, unit] of /** @type {const} */ ([
    [365 * 86_400_000, 'years'],
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'min'],
    [1000, 's'],
  ])) {
    if (ms >= size && ms % size === 0) return `${ms / size} ${unit}`
  }
  return `${ms} ms`
}
/** @param {number} bytes */
export const size = (bytes) => (bytes % 2 ** 20 === 0 ? `${bytes / 2 ** 20} MiB` : `${bytes / 1024} KiB`)
/** @param {number} count */
export const many = (count) => count.toLocaleString('en-US')
