// Help texts, made of the table of commands.
import type { Command, Options } from './command.ts'
import { BROKER, COMMON, commonOf } from './options.ts'

const pad = (rows: readonly (readonly [string, string])[]): string => {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n')
}
const optionRows = (options: Options): readonly (readonly [string, string])[] =>
  Object.entries(options).map(([name, { value, text }]) => [`--${name}${value ? ` ${value}` : ''}`, text])

export function overview(commands: readonly Command[]): string {
  return `Works with what Polybus keeps on a broker, the same on Kafka, RabbitMQ, SQS and Redis.

Usage: polybus COMMAND [arguments] [options]

${pad(commands.map(({ name, takes, summary }) => [[name, ...takes].join(' '), summary]))}

Options of every command (those of schemas need no broker):
${pad([...optionRows({ ...BROKER, ...COMMON }), ['--version', 'of @polybus/cli']])}

polybus COMMAND --help tells more, with examples. What POLYBUS_* variables and polybus.config.* say holds here too.
Data goes to stdout, everything else to stderr.

Exit codes: 0 done; 1 something failed or remained; 2 the command cannot be used so, or the broker cannot be reached;
130 after Ctrl-C, 143 after SIGTERM.

Examples:
  polybus doctor orders --groups email,charge --broker redis://localhost:6379
  polybus dlq ls orders charge
  polybus dlq replay orders charge --error CardDeclined --per-second 50
  polybus schema check --channels ./dist/channels.js`
}

export function helpOf(command: Command): string {
  const { name, takes, summary, about, options, examples } = command
  return `${summary[0]?.toUpperCase()}${summary.slice(1)}.${about === undefined ? '' : `\n\n${about}`}

Usage: polybus ${[name, ...takes].join(' ')} [options]

${pad([...optionRows(options), ...optionRows(commonOf(command))])}

Examples:
${examples.map((example) => `  polybus ${example}`).join('\n')}`
}
