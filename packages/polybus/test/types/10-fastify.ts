import Fastify from 'fastify'
import { pino } from 'pino'
import { connect, PolybusError, type Consumer, type Logger } from 'polybus'
import { orders } from './02-typed.ts'
declare const consumers: Consumer[]
const app = Fastify({ logger: true })
const bus = await connect({ broker: process.env['BROKER_URL'], service: 'shop', logger: app.log, grace: '25s' })
app.addHook('preClose', () => bus.stop()) // stop consuming, requests in flight may still publish
app.addHook('onClose', () => bus.close())
app.get('/ready', async (_q, r) => r.code(bus.health().status === 'down' ? 503 : 200).send(bus.health()))
app.post<{ Body: { id: string } }>('/orders', async (req, reply) => {
  try {
    const receipt = await bus.publish(
      orders,
      { id: req.body.id, customer: 'c', cents: 1, at: new Date().toISOString() },
      { id: `order-${req.body.id}`, timeout: '2s', signal: req.signal },
    )
    return await reply.code(202).send({ id: receipt.id })
  } catch (error) {
    if (PolybusError.is(error, 'INVALID_MESSAGE')) return reply.code(400).send({ message: error.message })
    if (PolybusError.is(error) && error.retryable) return reply.code(503).header('retry-after', '1').send()
    throw error
  }
})
await bus.start(...consumers)
process.once('SIGTERM', () => void app.close())
export const l1: Logger = pino()
export const l2: Logger = console
