export type { Io } from './command.ts'
export { run } from './run.ts'
