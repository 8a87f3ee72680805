// A handler must not end the store's transaction: a COMMIT of its own would keep the record of a message that then fails.

/** Comments, and what stands in quotes. */
const QUOTED =
  /--[^\n]*|\/\*[\s\S]*?\*\/|[eE]'(?:[^'\\]|\\[\s\S]|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$[\s\S]*?\$\1\$/g
const MAYBE = /\b(?:begin|start|commit|end|abort|rollback|prepare)\b/i
/** `rollback to` leads to a savepoint, which is the handler's own. */
const ENDS =
  /^\s*(?:begin|start\s+transaction|commit|end|abort|rollback(?!\s+(?:(?:work|transaction)\s+)?to\b)|prepare\s+transaction)\b/i

/** @throws {Error} where a statement of the text begins or ends a transaction. */
export function refuseOwnEnd(text: unknown): void {
  const sql = typeof text === 'string' ? text : (text as { readonly text?: unknown } | null | undefined)?.text
  if (typeof sql !== 'string' || !MAYBE.test(sql)) return
  const found = sql
    .replace(QUOTED, ' ')
    .split(';')
    .find((statement) => ENDS.test(statement))
  if (found !== undefined)
    throw new Error(
      `The store owns this transaction: '${found.trim().split(/\s+/, 2).join(' ')}' is not the handler's to say. Use savepoints.`,
    )
}
