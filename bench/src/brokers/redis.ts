// ioredis by hand.
import { Redis } from 'ioredis'
import type { Make, Purchase } from '../purchases.ts'
import { type AttributesOf, type Consuming, GROUP, type Handle, inFlight, type Kind, NAIVE_WIDTH } from './raw.ts'
import { piecesInFlight, type Publishing, type RawBroker, versionOf } from './raw.ts'

/** Of a tuned publisher's pipeline, and how many of those are under way. */
const BATCH = 500
const PIPELINES = 2
const COUNT = 250
/** An empty read waits so long. */
const BLOCK_MS = 500
const CONSUMER = 'raw'
const OPTIONS = { protocol: 2, replyMapping: 'legacy' } as const

export const redis: Kind = {
  messages: 100_000,
  naive: { publish: 0.5, consume: 0.05 },
  what: {
    publishNaive: `XADD, ${NAIVE_WIDTH} in flight`,
    publishTuned: `${PIPELINES} pipelines of ${BATCH} XADD under way`,
    consumeNaive: 'XREADGROUP COUNT 1, then XACK',
    consumeTuned: `XREADGROUP COUNT ${COUNT}, the next one asked for together with the XACK of the one before`,
  },
  async open({ url }) {
    const client = new Redis(url, OPTIONS)
    const info = await client.info('server')
    const raw: RawBroker = {
      client: versionOf('ioredis'),
      server: `Redis ${/redis_version:(\S+)/.exec(info)?.[1]}`,
      publishNaive: (stream, make) => publishNaive(url, stream, make),
      publishTuned: (stream, make, attributesOf) => publishTuned(url, stream, make, attributesOf),
      consumeNaive: (stream, handle, fail) => consumeNaive(url, stream, handle, fail),
      consumeTuned: (stream, handle, fail) => consumeTuned(url, stream, handle, fail),
      async left(stream) {
        const groups = (await client.xinfo('GROUPS', stream)) as unknown[][]
        const flat = groups.find((fields) => fields.includes(GROUP)) ?? []
        const field = (name: string): number => Number(flat[flat.indexOf(name) + 1] ?? NaN)
        return field('pending') + field('lag')
      },
      async drop(stream) {
        const keys = await client.keys(`{${stream}}:*`)
        await client.unlink(stream, ...keys)
      },
      async close() {
        await client.quit()
      },
    }
    return raw
  },
}

const bodyOf = (make: Make, index: number): string => JSON.stringify(make(index))

async function publishNaive(url: string, stream: string, make: Make): Promise<Publishing> {
  const client = new Redis(url, OPTIONS)
  await client.ping()
  return {
    publish: (from, to) =>
      inFlight(from, to, NAIVE_WIDTH, (index) => client.xadd(stream, '*', 'data', bodyOf(make, index))),
    close: async () => void (await client.quit()),
  }
}

function fieldsOf(attributesOf: AttributesOf): string[] {
  const { id, source, type, contentType, time } = attributesOf()
  const first = ['ce_specversion', '1.0', 'ce_id', id, 'ce_source', source, 'ce_type', type]
  return first.concat('content-type', contentType, 'ce_time', time.toISOString())
}

async function publishTuned(url: string, stream: string, make: Make, attributesOf?: AttributesOf): Promise<Publishing> {
  const client = new Redis(url, OPTIONS)
  await client.ping()
  return {
    publish: (from, to) =>
      piecesInFlight(from, to, BATCH, PIPELINES, async (first, end) => {
        const pipeline = client.pipeline()
        for (let index = first; index < end; index++)
          if (attributesOf)
            pipeline.xadd(stream, 'NOMKSTREAM', '*', 'data', bodyOf(make, index), ...fieldsOf(attributesOf))
          else pipeline.xadd(stream, 'NOMKSTREAM', '*', 'data', bodyOf(make, index))
        for (const [error, id] of (await pipeline.exec()) ?? []) {
          if (error) throw error
          if (id === null) throw new Error('the stream is gone')
        }
      }),
    close: async () => void (await client.quit()),
  }
}

type Entry = readonly [id: string, fields: readonly string[]]
type Answer = readonly (readonly [stream: string, entries: readonly Entry[]])[] | null

const purchaseOf = ([, [, body = '']]: Entry): Purchase => JSON.parse(body) as Purchase
const entriesOf = (answer: unknown): readonly Entry[] => (answer as Answer)?.[0]?.[1] ?? []

async function consumeNaive(
  url: string,
  stream: string,
  handle: Handle,
  fail: (error: unknown) => void,
): Promise<Consuming> {
  return loop(url, fail, async (client) => {
    const [entry] = entriesOf(
      await client.xreadgroup('GROUP', GROUP, CONSUMER, 'COUNT', 1, 'BLOCK', BLOCK_MS, 'STREAMS', stream, '>'),
    )
    if (!entry) return
    await handle(purchaseOf(entry))
    await client.xack(stream, GROUP, entry[0])
  })
}

async function consumeTuned(
  url: string,
  stream: string,
  handle: Handle,
  fail: (error: unknown) => void,
): Promise<Consuming> {
  /** Acknowledges what was handled, and brings what comes next, in one piece. */
  const exchange = async (client: Redis, handled: readonly Entry[]): Promise<readonly Entry[]> => {
    const pipeline = client.pipeline()
    if (handled.length > 0) pipeline.xack(stream, GROUP, ...handled.map(([id]) => id))
    pipeline.xreadgroup('GROUP', GROUP, CONSUMER, 'COUNT', COUNT, 'BLOCK', BLOCK_MS, 'STREAMS', stream, '>')
    const replies = (await pipeline.exec()) ?? []
    for (const [error] of replies) if (error) throw error
    return entriesOf(replies.at(-1)?.[1])
  }
  let handled: readonly Entry[] = []
  let coming: Promise<readonly Entry[]> | undefined
  return loop(
    url,
    fail,
    async (client) => {
      const entries = await (coming ?? exchange(client, []))
      // While these are handled the next ones are on their way.
      coming = exchange(client, handled)
      for (const entry of entries) await handle(purchaseOf(entry))
      handled = entries
    },
    async (client) => {
      await coming
      if (handled.length > 0) await client.xack(stream, GROUP, ...handled.map(([id]) => id))
    },
  )
}

/** Repeats a step until it is closed; the step under way is finished first. */
async function loop(
  url: string,
  fail: (error: unknown) => void,
  step: (client: Redis) => Promise<void>,
  end?: (client: Redis) => Promise<void>,
): Promise<Consuming> {
  const client = new Redis(url, OPTIONS)
  await client.ping()
  let over = false
  const run = async (): Promise<void> => {
    while (!over) await step(client)
    await end?.(client)
  }
  const running = run().catch(fail)
  return {
    async close() {
      over = true
      await running
      await client.quit()
    },
  }
}
