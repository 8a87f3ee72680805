// A position says of which topic it is: of one that was deleted and made anew the name is the same, and nothing else.
export interface Stamped {
  /** Undefined where the broker could not tell, or another program committed. */
  readonly topicId: string | undefined
  /** What else the position's metadata says. */
  readonly rest: string
}

const FORM = /^T([\w-]{22})(.*)$/
export const STAMP_BYTES = 23

export const stamp = (topicId: string | undefined, rest: string): string =>
  topicId === undefined ? rest : `T${topicId}${rest}`

export function readStamp(metadata: string | undefined): Stamped {
  const [, topicId, rest = ''] = FORM.exec(metadata ?? '') ?? []
  return topicId === undefined ? { topicId, rest: metadata ?? '' } : { topicId, rest }
}

/** Both are known, and differ. */
export const isOther = (before: string | undefined, now: string | undefined): boolean =>
  before !== undefined && now !== undefined && before !== now
