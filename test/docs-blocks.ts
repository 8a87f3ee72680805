// The code blocks of the documentation, as they stand in its pages. The convention is in docs/README.md.
import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const root: string = fileURLToPath(new URL('..', import.meta.url))

export interface Block {
  /** Page and line, such as `docs/guide/retries.md:12`. */
  readonly at: string
  readonly code: string
  /** Starts with `// runs`. */
  readonly runs: boolean
  /** The `text` block right behind it: what it prints. */
  readonly prints: string | undefined
}

interface Fence {
  readonly line: number
  readonly info: string
  readonly text: string
  readonly end: number
}

export const pages = (...patterns: readonly string[]): readonly string[] =>
  globSync([...patterns], { cwd: root }).toSorted()

export const read = (page: string): string => readFileSync(`${root}/${page}`, 'utf8')

/** Fenced blocks that start at the margin; longer and indented fences are not used here. */
export function fences(markdown: string): readonly Fence[] {
  const found: Fence[] = []
  let open: { line: number; info: string; lines: string[] } | undefined
  for (const [index, line] of markdown.split('\n').entries()) {
    if (open && line === '```') {
      found.push({ line: open.line, info: open.info, text: open.lines.join('\n'), end: index + 1 })
      open = undefined
    } else if (open) open.lines.push(line)
    else if (line.startsWith('```')) open = { line: index + 1, info: line.slice(3).trim(), lines: [] }
  }
  return found
}

/** The `ts` blocks of a page. */
export function blocksOf(page: string, markdown: string = read(page)): readonly Block[] {
  const all = fences(markdown)
  const lines = markdown.split('\n')
  return all.flatMap(({ line, info, text, end }, index): Block[] => {
    if (info !== 'ts') return []
    const next = all[index + 1]
    const follows = next?.info === 'text' && lines.slice(end, next.line - 1).every((between) => between.trim() === '')
    return [
      { at: `${page}:${line}`, code: text, runs: /^\/\/ runs\b/.test(text), prints: follows ? next.text : undefined },
    ]
  })
}

/** Everything but code: where links are links. */
export function prose(markdown: string): string {
  const lines = markdown.split('\n')
  for (const { line, end } of fences(markdown)) lines.fill('', line - 1, end)
  return lines.join('\n').replace(/`[^`\n]*`/g, (code) => 'x'.repeat(code.length))
}

/** As GitHub makes them. */
export function anchorsOf(markdown: string): ReadonlySet<string> {
  const seen = new Map<string, number>()
  const lines = markdown.split('\n')
  for (const { line, end } of fences(markdown)) lines.fill('', line - 1, end)
  return new Set(
    lines.flatMap((line) => {
      const heading = /^#{1,6} (.+)$/.exec(line)?.[1]
      if (heading === undefined) return []
      const slug = heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-')
      const times = seen.get(slug) ?? 0
      seen.set(slug, times + 1)
      return times === 0 ? slug : `${slug}-${times}`
    }),
  )
}
