// Lines of parked messages in Redis, for order-preserving dead letters.
import type { HeadState, ParkedLine, Parking } from '@polybus/core'
import { createTogether, type Evaluate, type TogetherOptions } from './redis-client.ts'
import { INDEX, LINES, PAGE, UNINDEX } from './redis-scripts.ts'

/** `mark` answers a text that was never answered before. */
export function createParking(
  evaluate: Evaluate,
  { prefix, ...options }: TogetherOptions & { readonly prefix: string },
  mark: () => string,
): Parking {
  const together = createTogether(evaluate, LINES, options)
  const ask = (line: string, what: string, id = '', message = '', its = ''): Promise<unknown> => {
    // In a cluster what stands in braces decides where a key lies.
    const key = `${prefix}{line:${line}}`
    return together([key, `${key}:tail`], [what, id, message, its])
  }
  const lines = `${prefix}{lines}`
  const index = [lines, `${lines}:marks`]

  return {
    durable: true,
    enter: (line, id, message) => ask(line, 'enter', id, message) as Promise<'free' | 'head' | 'parked'>,
    async block(line, id, message) {
      const its = mark()
      await evaluate(INDEX, index, [line, its])
      return (await ask(line, 'block', id, message, its)) as 'head' | 'parked'
    },
    async advance(line, id) {
      const [head, message, gone] = (await ask(line, 'advance', id)) as (string | null | undefined)[]
      if (typeof gone === 'string') await evaluate(UNINDEX, index, [line, gone])
      return typeof head === 'string' && typeof message === 'string' ? { id: head, message } : undefined
    },
    async sent(line, id) {
      await ask(line, 'sent', id)
    },
    async head(line) {
      const [id, message, state] = (await ask(line, 'head')) as [string, string, HeadState] | [null]
      return id === null ? undefined : { id, message, state }
    },
    async list(start, after, limit) {
      const found: ParkedLine[] = []
      // One that stands before all of them says nothing.
      let from = after === undefined || bytewise(after, start) < 0 ? `[${start}` : `(${after}`
      for (;;) {
        const page = (await evaluate(PAGE, [lines], [from, start, limit])) as readonly string[]
        const answers = await Promise.all(page.map((line) => ask(line, 'count')))
        for (const [place, line] of page.entries()) {
          const [head, state, waiting] = answers[place] as [string, HeadState, number] | [null, null, number]
          // Nothing is there where a process crashed before it made the line, or after that went.
          if (head !== null && found.length < limit) found.push({ line, head, state, waiting })
        }
        if (found.length >= limit || page.length < limit) return found
        from = `(${page.at(-1)}`
      }
    },
  }
}

const bytewise = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))
