import { type Call, PolybusError } from '@polybus/core'
import { checkCompression, isCompression } from './codecs.ts'
import { readConfig } from './config.ts'
import type { Session } from './session.ts'

/**
 * A topic whose broker compresses in a way that this process cannot read is refused before it is joined. Where producers choose,
 * which is the default, only a batch itself tells.
 *
 * @throws {PolybusError} `UNSUPPORTED`, with the package that is missing.
 */
export async function checkReadable(session: Session, topic: string, call: Call): Promise<void> {
  // One that is missing is for whoever joins to tell.
  const config = await readConfig(session, topic, call).catch((error: unknown) => {
    if (!PolybusError.is(error, 'TOPOLOGY_MISSING')) throw error
    return undefined
  })
  const name = config?.get('compression.type')?.value
  if (isCompression(name)) await checkCompression(name)
}
