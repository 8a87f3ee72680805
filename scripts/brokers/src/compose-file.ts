// docker-compose.yml, written from the table of services.
import { readFileSync, writeFileSync } from 'node:fs'
import { Document, isMap, isScalar, visit } from 'yaml'
import { COMPOSE_FILE } from './compose.ts'
import type { Port, Service } from './service.ts'
import { services } from './services.ts'

const HEADER = ` Every service that Polybus talks to, on this machine only. \`docker compose up --wait\` returns when all are healthy.
 A port that is taken moves by its variable: KAFKA_PORT=19092 docker compose up --wait kafka
 Written from scripts/brokers/src/services.ts by \`npm run brokers -- compose\`.`

// So that the formatter has nothing to add.
const FLOW_WIDTH = 100

/** The whole text. */
export function composeFile(): string {
  const content = Object.fromEntries(Object.entries(services).map(([name, service]) => [name, composeService(service)]))
  const document = new Document({ name: 'polybus', services: content })
  document.commentBefore = HEADER
  for (const [name, { compose }] of Object.entries(services)) {
    const node = document.getIn(['services', name], true)
    if (isMap(node) && compose.comment !== undefined) node.commentBefore = ` ${compose.comment}`
  }
  const all = document.get('services', true)
  if (isMap(all)) for (const { key } of all.items.slice(1)) if (isScalar(key)) key.spaceBefore = true
  const top = document.contents
  if (isMap(top)) for (const { key } of top.items.slice(1)) if (isScalar(key)) key.spaceBefore = true
  visit(document, {
    Seq(_, node) {
      node.flow = JSON.stringify(node).length <= FLOW_WIDTH
      // Unquoted, `yes` is a text for some parsers and true for others.
      for (const item of node.items) if (isScalar(item) && typeof item.value === 'string') item.type = 'QUOTE_SINGLE'
    },
  })
  return document.toString({ lineWidth: 0, singleQuote: true, flowCollectionPadding: false })
}

/** Answers whether the file is what would be written. */
export function isComposeFileFresh(): boolean {
  return readFileSync(COMPOSE_FILE, 'utf8') === composeFile()
}

export function writeComposeFile(): void {
  writeFileSync(COMPOSE_FILE, composeFile())
}

function composeService({ image, ports, compose }: Service): object {
  const { command, hostname, environment, healthcheck, profile } = compose
  return {
    image,
    ...(profile !== undefined && { profiles: [profile] }),
    ...(hostname !== undefined && { hostname }),
    ...(command && { command }),
    ports: ports.map(published),
    ...(environment && { environment }),
    healthcheck,
  }
}

function published({ variable, port, inside }: Port): string {
  const outside = `\${${variable}:-${port}}`
  return `127.0.0.1:${outside}:${inside ?? outside}`
}
