// The connection of one command.
import type { Bus, Logger } from '@polybus/core'
import { connectWith } from 'polybus'
import type { Given, Io } from './command.ts'
import { orAborted } from './or-aborted.ts'

type Topology = 'create' | 'verify'

/**
 * Connects as the application would, runs, and closes whatever comes of it.
 *
 * @param topology `verify` for all but what is there to create: a misspelt name must not make a channel.
 */
export async function withBus(
  given: Given,
  io: Io,
  topology: Topology,
  use: (bus: Bus) => Promise<number>,
): Promise<number> {
  const connecting = connectWith({
    broker: given.text('broker'),
    namespace: given.text('namespace'),
    topology,
    durability: 'report',
    logger: loggerOf(io, given.flag('verbose')),
  })
  // A client may take long to connect.
  const bus = await orAborted(connecting, io.signal)
  try {
    return await use(bus)
  } finally {
    await bus.close({ grace: '5s' })
  }
}

function loggerOf({ say }: Io, verbose: boolean): Logger {
  const tell = (fields: object, text: string): void => {
    // `doctor` is who tells of hazards: elsewhere they would stand before every answer.
    if ('hazard' in fields && !verbose) return
    const { err, id } = fields as { err?: { name: string; message: string }; id?: string }
    say(
      `polybus: ${text}${id === undefined ? '' : ` (${id})`}${err ? `: ${err.name}: ${err.message}` : ''}${verbose ? ` ${JSON.stringify(fields)}` : ''}`,
    )
  }
  const quiet = verbose ? tell : (): void => {}
  return { debug: quiet, info: quiet, warn: tell, error: tell }
}
