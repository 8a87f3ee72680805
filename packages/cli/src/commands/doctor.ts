import { type Bus, describeError } from '@polybus/core'
import { withBus } from '../bus.ts'
import type { Found } from '../channels.ts'
import { type Command, DONE, INCOMPLETE } from '../command.ts'
import { CHANNEL, GROUPS, JSON_LINES } from '../options.ts'
import { allChannels, planOf } from './topology.ts'

interface Finding {
  readonly status: 'ok' | 'warning' | 'failed'
  readonly channel?: string
  readonly check: string
  readonly text: string
}
const SIGNS = { ok: 'ok     ', warning: 'warning', failed: 'FAILED ' } as const

export const doctor: Command = {
  name: 'doctor',
  takes: ['[channel...]'],
  summary: 'connects, and checks topology, permissions and what can lose messages',
  about: `Writes and takes nothing, so it cannot check the permission to do so; what it may not look at is FAILED. Hazards are warnings:
something on the server can lose messages. Ends with 1 where something FAILED.`,
  options: { ...GROUPS, ...JSON_LINES, ...CHANNEL },
  examples: ['doctor --channels ./dist/channels.js', 'doctor orders --groups email,charge --broker amqp://localhost'],
  looks: true,
  run: (given, io) => {
    const began = io.clock.now()
    return withBus(given, io, 'create', async (bus) => {
      const ms = Math.round(io.clock.now() - began)
      const found = await allChannels(bus, given, io)
      const findings = [
        { status: 'ok', check: 'connection', text: `connected in ${ms} ms` } as const,
        ...(await Promise.all(found.map((one) => examine(bus, one)))).flat(),
      ]
      for (const finding of findings) {
        const { status, channel, check, text } = finding
        await io.out(
          given.flag('json')
            ? JSON.stringify(finding)
            : `${SIGNS[status]}  ${channel === undefined ? '' : `${channel}: `}${check}: ${text}`,
        )
      }
      return findings.some(({ status }) => status === 'failed') ? INCOMPLETE : DONE
    })
  },
}

async function examine(bus: Bus, { channel, inspection }: Found): Promise<readonly Finding[]> {
  const { name, groups } = channel
  const finding = (status: Finding['status'], check: string, text: string): Finding => ({
    status,
    channel: name,
    check,
    text,
  })
  const plan = planOf(inspection)
  const groupNames = groups as readonly string[]
  const lacks = inspection.missing.length > 0
  return [
    ...(plan.length === 0
      ? [finding('ok', 'topology', `all there${groups.length === 0 ? ' (no groups were named)' : ''}`)]
      : []),
    ...plan.map(([, status, text]) =>
      finding('failed', status === 'unknown' ? 'permission' : 'topology', `${status}: ${text}`),
    ),
    ...(lacks
      ? []
      : await Promise.all(groupNames.map((group) => countOf(bus, { channel, inspection }, group, finding)))),
    ...inspection.hazards.map(({ kind, text }) => finding('warning', `hazard ${kind}`, text)),
  ]
}

async function countOf(
  bus: Bus,
  { channel }: Found,
  group: string,
  finding: (status: Finding['status'], check: string, text: string) => Finding,
): Promise<Finding> {
  try {
    const { backlog, deadLetters } = await bus.stats(channel, group)
    const number = (value: number | null): string => (value === null ? 'unknown' : String(value))
    return finding('ok', `group ${group}`, `backlog ${number(backlog)}, dead letters ${number(deadLetters)}`)
  } catch (error) {
    const { name, message } = describeError(error)
    return finding('failed', `group ${group}`, `${name}: ${message}`)
  }
}
