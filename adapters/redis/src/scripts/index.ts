import { createHash } from 'node:crypto'
import { DECLARE, REWIND, STATS, TIDY } from './admin.ts'
import { GATHER, GATHER_LANES } from './gather.ts'
import { IDLE, LEAVE, SHARE } from './lanes.ts'
import { EXTEND, FORGET, LATER, MOVE, RELEASE } from './settle.ts'

export type ScriptName =
  | 'declare'
  | 'extend'
  | 'forget'
  | 'gather'
  | 'gatherLanes'
  | 'idle'
  | 'later'
  | 'leave'
  | 'move'
  | 'release'
  | 'rewind'
  | 'share'
  | 'stats'
  | 'tidy'

const TEXTS: Readonly<Record<ScriptName, string>> = {
  declare: DECLARE,
  extend: EXTEND,
  forget: FORGET,
  gather: GATHER,
  gatherLanes: GATHER_LANES,
  idle: IDLE,
  later: LATER,
  leave: LEAVE,
  move: MOVE,
  release: RELEASE,
  rewind: REWIND,
  share: SHARE,
  stats: STATS,
  tidy: TIDY,
}

export const SCRIPT_TEXTS: readonly string[] = Object.values(TEXTS)

const SHAS: ReadonlyMap<string, string> = new Map(
  Object.entries(TEXTS).map(([name, text]) => [name, createHash('sha1').update(text).digest('hex')]),
)

/** What EVALSHA takes. */
export const shaOf = (name: ScriptName): string => SHAS.get(name) ?? ''
