// Apicurio as a schema registry: it has Confluent's API, and refuses incompatible schemas as Confluent's does.
import { java, jvm } from './java.ts'
import { greeting } from './probe.ts'
import type { Service } from './service.ts'

const VERSION = '3.3.3'
const API = '/apis/ccompat/v7'

/** H2 in a file. Written at once: it waits for half a second else, and a kill loses what was registered in it. */
const database = (folder: string): string => `jdbc:h2:file:${folder}/registry;DB_CLOSE_ON_EXIT=FALSE;WRITE_DELAY=0`

export const registry: Service = {
  title: 'Schema registry (Apicurio)',
  image: `apicurio/apicurio-registry:${VERSION}`,
  ports: [{ name: 'http', variable: 'REGISTRY_PORT', port: 8081, inside: 8080 }],
  url: (port) => `http://127.0.0.1:${port}${API}`,
  answers: greeting(`GET ${API}/subjects HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`, (heard) =>
    heard.startsWith('HTTP/1.1 200'),
  ),
  startLimitMs: 90_000,
  keepsData: true,
  compose: {
    comment: "Confluent's API is under /apis/ccompat/v7. What is registered lives as long as the container.",
    environment: { APICURIO_DATASOURCE_URL: database('/tmp') },
    healthcheck: {
      test: ['CMD-SHELL', `curl -fsS http://127.0.0.1:8080${API}/subjects`],
      interval: '5s',
      timeout: '10s',
      retries: 12,
      start_period: '10s',
    },
  },
  native: {
    programs: [java(21), { name: 'mvn' }],
    packages: ['openjdk-21-jre-headless', 'maven'],
    elsewhere: 'macOS: brew install openjdk maven; a Java 21 or newer in /usr/lib/jvm or JAVA_HOME will do',
    archive: `io.apicurio:apicurio-registry-app:${VERSION}:tar.gz:all`,
    ownPorts: ['management'],
    processes: (layout) => [
      {
        role: 'server',
        program: 'java',
        args: [...jvm('256m'), `-XX:ErrorFile=${layout.logs}/hs_err.log`, '-jar', `${layout.archive}/quarkus-run.jar`],
        env: {
          QUARKUS_HTTP_HOST: '127.0.0.1',
          QUARKUS_HTTP_PORT: String(layout.ports['http']),
          QUARKUS_MANAGEMENT_HOST: '127.0.0.1',
          QUARKUS_MANAGEMENT_PORT: String(layout.ports['management']),
          // A line a request, else.
          QUARKUS_HTTP_ACCESS_LOG_ENABLED: 'false',
          APICURIO_DATASOURCE_URL: database(layout.data),
        },
      },
    ],
  },
}
