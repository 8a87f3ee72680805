import { fileURLToPath } from 'node:url'

/** The file of a process that is started beside this one. */
export function programOf(name: string): string {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return fileURLToPath(new URL(`./${name}.${ending}`, import.meta.url))
}
