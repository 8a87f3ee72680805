// Which queues a channel has.
import type { ChannelSpec } from '@polybus/core'
import { FIFO, type Names, namesOf } from './names.ts'
import type { Settings, SqsChannelOptions } from './options.ts'

/** A queue by its name, which has to be looked up, or by the URL that it was given with. */
export interface Queue {
  readonly name: string
  readonly url: string | undefined
}

export interface Layout {
  readonly channel: string
  readonly keyed: boolean
  /** Declared. */
  readonly groups: readonly string[]
  readonly options: SqsChannelOptions
  readonly names: Names
  queue(group: string): Queue
  dead(group: string): Queue
}

export function layoutOf(settings: Settings, namespace: string | undefined, spec: ChannelSpec): Layout {
  const options = settings.channels.get(spec.name) ?? {}
  const names = namesOf(namespace, spec.name, spec.keyed)
  const given = (group: string): NonNullable<SqsChannelOptions['groups']>[string] => options.groups?.[group] ?? {}
  return {
    channel: spec.name,
    keyed: spec.keyed,
    groups: spec.groups,
    options,
    names,
    queue: (group) => queueOf(given(group).queueUrl, () => names.queue(group)),
    dead: (group) => queueOf(given(group).deadLetterQueueUrl, () => names.dead(group)),
  }
}

const queueOf = (url: string | undefined, name: () => string): Queue =>
  url === undefined ? { name: name(), url } : { name: nameIn(url), url }

/** The last part of a queue's URL. */
export const nameIn = (url: string): string => url.slice(url.lastIndexOf('/') + 1)

export const isFifo = ({ name }: Queue): boolean => name.endsWith(FIFO)
