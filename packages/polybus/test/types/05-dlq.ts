import type { Bus } from 'polybus'
import { orders } from './02-typed.ts'
import { is, type Eq } from './00-types.ts'
declare const bus: Bus
const dead = bus.deadLetters(orders, 'email')
for await (const letter of dead.list({ errorName: 'CardDeclined', since: new Date('2025-01-01') })) {
  console.log(letter.id, letter.reason, letter.error.message, letter.value?.customer)
}
const { done, failed } = await dead.replay({ errorName: 'CardDeclined' }, { perSecond: 50 })
await dead.replay(
  { ids: ['x'] },
  { edit: (_old, letter) => ({ id: letter.message.id, customer: 'c', cents: 1, at: '2025-01-01T00:00:00Z' }) },
)
await dead.discard({ ids: ['y'] })
is<Eq<typeof done, number>>()
void failed
// @ts-expect-error
bus.deadLetters(orders, 'nope')
