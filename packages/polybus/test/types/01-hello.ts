import { channel, connect, trust } from 'polybus'
const hello = channel('hello', { schema: trust<{ name: string }>() })
const bus = await connect() // memory:, refused where NODE_ENV is production
await bus.subscribe(hello, 'greeter', (m) => console.log(`hello ${m.name}`))
await bus.publish(hello, { name: 'world' })
// @ts-expect-error
await bus.publish(hello, { nam: 'world' })
