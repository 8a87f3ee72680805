// A consumer process: the six groups' consumers, and nothing else. It asks the outside world, its parent, over IPC.
import { type Bus, connect, type Logger } from 'polybus'
import { paceOn } from './pace.ts'
import { fromRefusal, type FromWorker, type ToWorker } from './protocol.ts'
import type { Service, ServiceName, Services } from './services.ts'
import { openShop } from './shop.ts'

interface Asked {
  resolve(): void
  reject(error: Error): void
}

const asked = new Map<number, Asked>()
let requests = 0

const send = (message: FromWorker): void => void process.send?.(message)

/** Settles with the answer. Until then the handler runs: what is not confirmed is not done. */
const remote =
  (service: ServiceName): Service =>
  (order, key, attempt) =>
    new Promise((resolve, reject) => {
      const id = ++requests
      asked.set(id, { resolve, reject })
      send({ kind: 'request', id, service, order, key, attempt })
    })

const services: Services = {
  charge: remote('charge'),
  reserve: remote('reserve'),
  confirm: remote('confirm'),
  pack: remote('pack'),
  count: remote('count'),
  score: remote('score'),
}

// The parent's bus warns of the same broker.
const logger: Logger = { debug() {}, info() {}, warn() {}, error: (fields, text) => console.error(text, fields) }

async function start(url: string): Promise<Bus> {
  const bus = await connect({
    broker: url,
    service: 'shop',
    logger,
    // Its broker may be down as it begins.
    connectTimeout: '1m',
    observe: ({ kind, group }) => send({ kind: 'saw', event: kind, group }),
  })
  await bus.start(...openShop(services, paceOn(url).concurrency))
  send({ kind: 'ready' })
  return bus
}

let bus: Promise<Bus> | undefined

async function hear(message: ToWorker): Promise<void> {
  if (message.kind === 'start') await (bus = start(message.url))
  if (message.kind === 'answer') {
    const { id, error } = message
    if (error) asked.get(id)?.reject(fromRefusal(error))
    else asked.get(id)?.resolve()
    asked.delete(id)
  }
  if (message.kind === 'stop') {
    await (await bus)?.close()
    process.disconnect()
  }
}

process.on('message', (message: ToWorker) => {
  hear(message).catch((error: unknown) => {
    console.error(error)
    process.exit(1)
  })
})
// Without an outside world there is nothing to do.
process.on('disconnect', () => process.exit())
