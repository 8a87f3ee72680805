// What a command is, and what it is given.
import type { Clock } from '@polybus/core'
import type { Readable } from 'node:stream'

export interface Option {
  /** `list`: may be given several times; `number`: above 0; `whole`: and without a fraction. */
  readonly type: 'text' | 'flag' | 'list' | 'number' | 'whole'
  /** What stands for the value in the help. */
  readonly value?: string
  readonly text: string
}
export type Options = Readonly<Record<string, Option>>

export interface Command {
  /** The words that call it. */
  readonly name: string
  /** `<needed>`, `[may be left out]`, `[any number...]`. */
  readonly takes: readonly string[]
  readonly summary: string
  /** More, below the summary. */
  readonly about?: string
  readonly options: Options
  /** Without the word `polybus`. */
  readonly examples: readonly string[]
  /** It works on a schema registry, and connects to no broker. */
  readonly brokerless?: true
  /** It changes nothing: that nobody reads on is no failure. */
  readonly looks?: true
  /** Resolves with the exit code. */
  run(given: Given, io: Io): Promise<number>
}

export interface Given {
  readonly args: readonly string[]
  text(option: string): string | undefined
  list(option: string): readonly string[]
  flag(option: string): boolean
  /** Whether the command has such an option. */
  takes(option: string): boolean
  number(option: string): number | undefined
}

/** What a command has of its process. */
export interface Io {
  readonly clock: Clock
  readonly directory: string
  readonly stdin: Readable & { readonly isTTY?: boolean }
  /** Characters in a line of the terminal; undefined: stdout is none. */
  readonly columns: number | undefined
  /** Stderr is a terminal. */
  readonly interactive: boolean
  /** Aborts at SIGINT and SIGTERM, and when nobody reads stdout any more. */
  readonly signal: AbortSignal
  /** Data: a line to stdout. Waits while the reader is slow. */
  out(line: string): Promise<void>
  /** Everything else: a line to stderr. */
  say(line: string): void
  /** A line of stderr that the next one replaces. Only where that is a terminal. */
  status(line: string): void
}

/** Why {@link Io.signal} aborted, where nobody reads stdout any more. */
export class PipeClosed extends Error {}
/** What was asked for cannot be done as it was asked: exit code 2. */
export class UsageError extends Error {}

export const DONE = 0
export const INCOMPLETE = 1
export const UNUSABLE = 2
