/** What a program that failed has printed; what Node says of it where that is nothing. */
export function saidBy(error: unknown): string {
  const { stdout = '', stderr = '', message } = error as Error & { stdout?: string; stderr?: string }
  return `${stderr}\n${stdout}`.trim() || message
}
