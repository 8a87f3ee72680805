// What a broker has for a channel, without changing it: for tools, and for programs that prepare a deployment.
import type { Adapter, Call, Capabilities, ChannelSpec, Hazard, TopologyChange } from './adapter.ts'
import { asPolybusError, PolybusError } from './errors.ts'

export interface Inspection {
  readonly capabilities: Capabilities
  /** What the first use of the channel would create, or `Bus.prepare`. */
  readonly missing: readonly TopologyChange[]
  /** What is there, but different: nothing of ours changes it. */
  readonly conflicts: readonly TopologyChange[]
  /** What on this server can lose messages. Of a channel that is not there yet only what can be said before. */
  readonly hazards: readonly Hazard[]
  /** What could not be looked at, `ACCESS_DENIED` most often. */
  readonly problems: readonly PolybusError[]
}

export async function inspect(adapter: Adapter, channel: ChannelSpec, call: Call): Promise<Inspection> {
  const problems: PolybusError[] = []
  const look = async <T>(run: () => Promise<T> | undefined, otherwise: T): Promise<T> => {
    try {
      return (await run()) ?? otherwise
    } catch (error) {
      const problem = asPolybusError(error, 'CONNECTION_FAILED')
      if (problem.retryable && problem.code !== 'TOPOLOGY_MISSING') throw problem
      problems.push(problem)
      return otherwise
    }
  }
  const { changes, conflicts } = await look(() => adapter.topology?.plan([channel], call), {
    changes: [],
    conflicts: [],
  })
  const before = problems.length
  const hazards = await look<readonly Hazard[]>(() => adapter.hazards?.(channel, call), [])
  // What is not there has no settings to look at: that it is missing was said.
  if (changes.length > 0 && PolybusError.is(problems[before], 'TOPOLOGY_MISSING')) problems.length = before
  return { capabilities: adapter.capabilities(channel), missing: changes, conflicts, hazards, problems }
}
