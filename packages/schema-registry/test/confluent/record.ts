// Writes recorded.json: what Confluent's Python client makes of each vector, without the schema's id, which is the registry's.
//   node packages/schema-registry/test/confluent/record.ts URL_OF_A_REGISTRY PYTHON
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { peer } from './peer.ts'
import { vectors } from './vectors.ts'

const [url = '', python = 'python3'] = process.argv.slice(2)
const client = peer(url, python)
const recorded: Record<string, string> = {}
for (const { name, ...vector } of vectors) {
  const topic = `recorded-${randomUUID()}`
  const { bytes } = (await client.ask({ op: 'write', topic, ...vector })) as { bytes: string }
  recorded[name] = Buffer.from(bytes, 'base64').subarray(5).toString('hex')
}
client.end()
const version = execFileSync(python, ['-c', 'import confluent_kafka; print(confluent_kafka.__version__)'])
  .toString()
  .trim()
writeFileSync(
  new URL('recorded.json', import.meta.url),
  `${JSON.stringify({ client: `confluent-kafka ${version}`, recorded }, undefined, 2)}\n`,
)
