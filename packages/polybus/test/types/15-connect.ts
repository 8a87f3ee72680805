import { connect, consumer, PolybusError, type Bus, type ConnectOptions, type ErrorCode, type Logger } from 'polybus'
import { z } from 'zod'
import { channel } from 'polybus'
import { is, type Eq } from './00-types.ts'
const bus = await connect({ broker: process.env['BROKER_URL'], service: undefined, publishing: { timeout: undefined } })
is<Eq<typeof bus, Bus>>()
// the file polybus.config.ts
export const config = { broker: 'memory:', defaults: { retry: { attempts: 3 } } } satisfies ConnectOptions
await connect(config)
// @ts-expect-error misspelt option
await connect({ brokr: 'memory:' })
// @ts-expect-error misspelt option of a group
await connect({ publishing: { bufferSize: 1 } })
// @ts-expect-error bad unit
await connect({ grace: '20 seconds' })
// @ts-expect-error no such choice
await connect({ durability: 'lax' })
// @ts-expect-error a number is no broker
await connect({ broker: 6379 })
// @ts-expect-error attempts are required
await connect({ defaults: { retry: {} } })
await connect({
  logger: false,
  use: [
    async (ctx, next) => {
      is<Eq<typeof ctx.log, Logger>>()
      await next()
    },
  ],
})
await connect({ defaults: { retry: false } })
// codes are known, and others may be asked for
const error: unknown = undefined
if (PolybusError.is(error, 'ADAPTER_MISSING')) is<Eq<typeof error.code, ErrorCode>>()
if (PolybusError.is(error)) is<Eq<typeof error.sent, 'no' | 'unknown' | undefined>>()
PolybusError.is(error, 'CODE_OF_A_LATER_VERSION')
// a consumer that is built where the channel is inferred keeps its types through several hops
const make = <T extends { id: string }>(schema: z.ZodType<T, T>) =>
  channel('made', { schema, key: (value) => value.id })
const made = make(z.object({ id: z.string(), n: z.number() }))
consumer(made, 'x', async (value) => {
  is<Eq<typeof value, { id: string; n: number }>>()
})
