import { harnessOver } from './harness-over.ts'

export const { name, feedsOutliveCuts, parallel, timing, prepare, open, faults, foreign, refusing, about, cleanup } =
  harnessOver('platformatic')
