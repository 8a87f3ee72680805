import type { ClaimStore } from '@polybus/core'

/** A store whose every call goes somewhere else. */
export function remoteStore(call: (method: string, args: readonly unknown[]) => Promise<unknown>): ClaimStore {
  const ask =
    <R>(method: string) =>
    (...args: readonly unknown[]): Promise<R> =>
      call(method, args) as Promise<R>
  return {
    kind: 'claim',
    claim: ask('claim'),
    complete: ask('complete'),
    release: ask('release'),
    renew: ask('renew'),
    parking: {
      durable: true,
      enter: ask('enter'),
      block: ask('block'),
      advance: ask('advance'),
      sent: ask('sent'),
      head: ask('head'),
      list: ask('list'),
    },
  }
}
