// Native names. Channels, groups and namespaces hold neither '.' nor ':', so nothing collides.

export interface Names {
  readonly exchange: string
  /** A queue whose x-max-length is the number of partitions: RabbitMQ has no other place to write it down where it is compared. */
  readonly layout: string
  /** A group's queue, or the queue of one of its lanes. */
  queue(group: string, lane?: number): string
  dead(group: string): string
  rung(group: string, delayMs: number): string
  /** Where the rungs of a keyed group end: it finds the lane by a header. */
  lanes(group: string): string
  /** Where members of a keyed group hear of each other. */
  members(group: string): string
}

export function namesOf(namespace: string | undefined, channel: string): Names {
  const base = namespace === undefined ? channel : `${namespace}.${channel}`
  const of = (group: string): string => `${base}.${group}`
  return {
    exchange: base,
    layout: `${base}:layout`,
    queue: (group, lane) => (lane === undefined ? of(group) : `${of(group)}:${lane}`),
    dead: (group) => `${of(group)}:dead`,
    rung: (group, delayMs) => `${of(group)}:retry-${delayMs / 1000}s`,
    lanes: (group) => `${of(group)}:lanes`,
    members: (group) => `${of(group)}:members`,
  }
}
