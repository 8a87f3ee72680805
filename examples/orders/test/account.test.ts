import type { DeadLetter } from 'polybus'
import { expect, test } from 'vitest'
import { openAccount } from '../src/account.ts'
import type { Purchase } from '../src/purchases.ts'
import type { Served } from '../src/services.ts'

/** Orders 1 to 4 of one customer. */
const open = () => {
  const account = openAccount(4, Int32Array.of(0, 7, 7, 7, 7))
  return {
    account,
    serve: (order: number, outcome: Served['outcome'] = 'done') =>
      account.served({ group: 'charge', order, attempt: 1, ms: 1, outcome }, 1),
  }
}
const dead = (number: number) => ({ value: { number } as Purchase }) as DeadLetter<Purchase>

test('an order that is done before an earlier one of its customer is a violation', () => {
  const { account, serve } = open()
  for (const order of [1, 3, 2, 4]) serve(order)
  expect(account).toMatchObject({ orderViolations: 1, handled: 4, lost: 0 })
})

test('a dead letter that is replayed comes after the others, and is no violation', () => {
  const { account, serve } = open()
  serve(1, 'refused')
  for (const order of [2, 3, 4]) serve(order)
  account.found([dead(1)])
  expect(account).toMatchObject({ handled: 3, lost: 0 })
  account.found([])
  expect(account).toMatchObject({ lost: 1 })
  serve(1)
  expect(account).toMatchObject({ orderViolations: 0, handled: 4, lost: 0 })
})

test('an effect that happens twice counts, a request that the service knows does not', () => {
  const { account, serve } = open()
  serve(1)
  serve(1, 'repeated')
  expect(account).toMatchObject({ handled: 1, repeated: 1, again: 0 })
  serve(1)
  expect(account).toMatchObject({ handled: 1, repeated: 1, again: 1 })
})
