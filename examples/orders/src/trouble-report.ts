// What people read of what was done to a run.
import { count } from './report.ts'
import type { Summary } from './summary.ts'

export function troubleReport({
  restarts,
  kills,
  hand_overs: handOvers,
  requests: asked,
  repeated_requests: repeated,
}: Summary): string {
  const incidents = [
    ...restarts.map(({ at_percent: at, down_ms: ms }) => ({
      at,
      text: `the broker was killed, and answered again after ${seconds(ms)}`,
    })),
    ...kills.map(({ process, successor, at_percent: at, taken_over: taken, first_after_ms: ms }) => ({
      at,
      text:
        `process ${process} was killed${successor === null ? '' : `, and process ${successor} begun`}; ` +
        (ms === null
          ? 'nobody came again whom it had served in its last second'
          : `others took over ${count(taken)} of the customers* of its last second, from ${seconds(ms)} on`),
    })),
  ].toSorted((a, b) => a.at - b.at)
  const requests = Object.entries(repeated).filter(([, times]) => times > 0)
  const sum = requests.reduce((total, [, times]) => total + times, 0)
  const by = requests.map(([group, times]) => `${count(times)} of ${group}`).join(', ')
  const shares = Object.entries(asked).map(([process, times]) => `${count(times)} by process ${process}`)
  return [
    'What was done to it, by how many orders were placed:',
    ...incidents.map(({ at, text }) => `  at ${String(at).padStart(2)} %  ${text}`),
    ...(shares.length > 0 ? [`  Requests to the services: ${shares.join(', ')}.`] : []),
    `  ${count(handOvers)} times a customer's* next request came from another process than the last one.`,
    `  ${count(sum)} requests came again${by && ` (${by})`}: the services knew them by their key, and did nothing twice.`,
    '  * counted in each group by itself. fraud has no store: every repeated order comes as far as its service.',
  ].join('\n')
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
