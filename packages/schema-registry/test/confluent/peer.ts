// Talks to peer.py. `python` must have: confluent-kafka[avro,json,protobuf,schemaregistry] and grpcio-tools.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface Peer {
  ask(task: object): Promise<unknown>
  end(): void
}

export function peer(url: string, python: string): Peer {
  const script = fileURLToPath(new URL('peer.py', import.meta.url))
  // Whatever the locale is.
  const env = { ...process.env, PYTHONUTF8: '1' }
  const child = spawn(python, [script, url], { env, stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    async ask(task) {
      child.stdin.write(`${JSON.stringify(task)}\n`)
      const { value, done } = await lines.next()
      if (done) throw new Error('The peer ended.')
      const { ok, error } = JSON.parse(value) as { ok?: unknown; error?: string }
      if (error !== undefined) throw new Error(error)
      return ok
    },
    end: () => void child.stdin.end(),
  }
}
