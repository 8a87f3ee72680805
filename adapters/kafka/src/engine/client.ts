// The inner seam over the connections and requests of any library. What a library does above those (its producer, its
// consumer, its retries) is done here: docs/brokers/kafka.md says why.
import { type Call, type Clock, PolybusError } from '@polybus/core'
import type { Client } from '../client.ts'
import { checkCompression } from '../codecs.ts'
import { closed, connectError } from '../errors.ts'
import type { Settings } from '../options.ts'
import { createAdmin } from './admin.ts'
import { createLink, type Link } from './link.ts'
import { joinGroup } from './member.ts'
import { createProducer } from './producer.ts'
import { read } from './read.ts'
import { createTransactional } from './transactional.ts'
import type { Wire } from './wire.ts'
import { within } from '../wait.ts'

/** Transactional ids share so many: there is one for each partition. */
const TRANSACTION_LINKS = 4

export function createClient(wire: Wire, settings: Settings, clock: Clock): Client {
  const { commandTimeoutMs: timeoutMs } = settings
  const links = new Set<Link>()
  const newLink = (): Link => {
    if (over) throw closed()
    const link = createLink(wire, clock, timeoutMs)
    links.add(link)
    return {
      ...link,
      close() {
        links.delete(link)
        return link.close()
      },
    }
  }
  const shared: Link[] = []
  let transactions = 0
  let over = false
  let first = true
  const main = createLink(wire, clock, timeoutMs)
  links.add(main)

  const connect = async (call: Call): Promise<void> => {
    try {
      await within(clock, timeoutMs * 2, call.signal, main.metadata([], call))
      first = false
    } catch (thrown) {
      const error = connectError(thrown, first)
      // A broker that wants a login says nothing: it hangs up.
      if (first && !wire.hasLogin && /Closed connection|Connection closed/.test(error.message))
        throw new PolybusError(
          'AUTHENTICATION_FAILED',
          'Kafka hangs up at the first question: this listener wants a login (user and password in the URL, sasl=…) or TLS (ssl=true).',
          { cause: thrown, sent: 'no', retryable: false },
        )
      throw error
    }
  }
  return {
    async connect(call) {
      if (over) throw closed()
      await checkCompression(settings.compression)
      await connect(call)
    },
    admin: createAdmin(main, clock, timeoutMs),
    producer: () => createProducer(newLink(), clock, settings),
    transactional(transactionalId) {
      const index = transactions++ % TRANSACTION_LINKS
      const link = (shared[index] ??= newLink())
      return createTransactional(link, clock, settings, transactionalId)
    },
    join: async (options, call) => joinGroup({ link: newLink(), aside: main, clock, timeoutMs }, options, call),
    read: (from, limit, call) => read(main, clock, timeoutMs, from, limit, call),
    async close() {
      over = true
      await Promise.all([...links].map((link) => link.close()))
      links.clear()
    },
    get native() {
      return wire.native
    },
  }
}
