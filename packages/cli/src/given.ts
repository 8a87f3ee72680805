// From words to a command and what it is given.
import { nearest } from '@polybus/core'
import { parseArgs } from 'node:util'
import { type Command, type Given, type Options, UsageError } from './command.ts'
import { commonOf } from './options.ts'

/** The command whose words come first, and the words that are left. */
export function find(
  commands: readonly Command[],
  words: readonly string[],
): { command: Command; rest: readonly string[] } | undefined {
  for (const command of commands) {
    const name = command.name.split(' ')
    if (name.every((word, index) => words[index] === word)) return { command, rest: words.slice(name.length) }
  }
  return undefined
}

export function unknownCommand(commands: readonly Command[], words: readonly string[]): UsageError {
  const plain = words.filter((word) => !word.startsWith('-')).slice(0, 2)
  const group = commands.some(({ name }) => name.startsWith(`${plain[0]} `))
  const asked = group ? plain.join(' ') : (plain[0] ?? words[0] ?? '')
  const names = commands.map(({ name }) => name)
  const near = nearest(asked, names) ?? nearest(plain.join(' '), names)
  if (group && plain.length === 1)
    return new UsageError(`Which of ${names.filter((name) => name.startsWith(`${asked} `)).join(', ')}?`)
  return new UsageError(
    `Unknown command '${asked}'.${near === undefined ? '' : ` Did you mean '${near}'?`} See polybus --help.`,
  )
}

/** @throws {UsageError} */
export function readGiven(command: Command, words: readonly string[]): Given {
  const { name, takes } = command
  const options: Options = { ...command.options, ...commonOf(command) }
  // Not strict: the errors of `parseArgs` know neither the command nor what is near.
  const { tokens } = parseArgs({
    args: [...words],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries(
      Object.entries(options).map(([key, { type }]) => [key, { type: type === 'flag' ? 'boolean' : 'string' }]),
    ),
  })
  const args: string[] = []
  const values = new Map<string, string[]>()
  for (const token of tokens) {
    if (token.kind === 'positional') args.push(token.value)
    if (token.kind !== 'option') continue
    const option = Object.hasOwn(options, token.name) ? options[token.name] : undefined
    if (!option) {
      const near = nearest(token.name, Object.keys(options))
      throw new UsageError(
        `Unknown option '${token.rawName}'.${near === undefined ? '' : ` Did you mean '--${near}'?`} See polybus ${name} --help.`,
      )
    }
    if (option.type !== 'flag' && (token.value === undefined || token.value === ''))
      throw new UsageError(`--${token.name} needs a value: --${token.name} ${option.value ?? 'TEXT'}.`)
    if (option.type === 'flag' && token.value !== undefined) throw new UsageError(`--${token.name} takes no value.`)
    if (option.type !== 'list' && option.type !== 'flag' && values.has(token.name))
      throw new UsageError(`--${token.name} is given twice.`)
    if (option.type === 'number' || option.type === 'whole') checkNumber(token.name, option.type, token.value)
    values.set(token.name, [...(values.get(token.name) ?? []), token.value ?? ''])
  }
  if (!values.has('help')) checkCount(name, takes, args)
  return {
    args,
    text: (option) => values.get(option)?.[0],
    list: (option) => values.get(option) ?? [],
    flag: (option) => values.has(option),
    takes: (option) => Object.hasOwn(options, option),
    number: (option) => (values.has(option) ? Number(values.get(option)?.[0]) : undefined),
  }
}

function checkNumber(option: string, type: 'number' | 'whole', text: string | undefined): void {
  const value = Number(text)
  if (!(value > 0 && value < Infinity) || (type === 'whole' && !Number.isSafeInteger(value)))
    throw new UsageError(`--${option}: expected a ${type === 'whole' ? 'whole ' : ''}number above 0, got '${text}'.`)
}

function checkCount(name: string, takes: readonly string[], args: readonly string[]): void {
  const needed = takes.filter((argument) => argument.startsWith('<'))
  const usage = `Usage: polybus ${[name, ...takes].join(' ')}. See polybus ${name} --help.`
  if (args.length < needed.length) throw new UsageError(`${needed[args.length]} is missing. ${usage}`)
  if (args.length > takes.length && !takes.at(-1)?.endsWith('...]'))
    throw new UsageError(`'${args[takes.length]}' is one too many. ${usage}`)
}
