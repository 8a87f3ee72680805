// What makes a broker's harness short: the faults of its connection, and one proxy for each namespace.
import type { Adapter } from '@polybus/core'
import type { Faults } from './harness.ts'
import { type Door, type FaultProxy, faultProxy, type FaultProxyOptions } from './proxy.ts'

export type ConnectionFaults = Required<Pick<Faults, 'down' | 'up' | 'cut' | 'pause' | 'resume' | 'loseAnswer'>>

/**
 * The faults of a connection, as a {@link FaultProxy} makes them.
 *
 * @example
 * faults: () => ({ ...connectionFaults(proxy), kill: () => server.kill(), restart: () => server.start() })
 */
export function connectionFaults(proxy: FaultProxy): ConnectionFaults {
  return {
    down: () => proxy.down(),
    up: () => proxy.up(),
    cut: () => proxy.cut(),
    pause: () => proxy.pause(),
    resume: () => proxy.resume(),
    loseAnswer: (times) => proxy.cutAnswers(times),
  }
}

export interface NamespaceProxies {
  /** For {@link Harness.prepare}: makes the namespace's proxy, once. */
  prepare(namespace: string): Promise<void>
  /** @throws {Error} where it was not prepared. */
  of(namespace: string): FaultProxy
  /** For {@link Harness.open}: an adapter with a port of its own, so that `crash` can cut it off alone. */
  open<A extends Adapter>(namespace: string, make: (address: { readonly host: string; readonly port: number }) => A): A
  /** For {@link Harness.faults}: those of the connection, and `crash`. */
  faults(namespace: string): ConnectionFaults & Required<Pick<Faults, 'crash'>>
  /** For {@link Harness.cleanup}. */
  close(namespace: string): Promise<void>
}

type Target = { readonly host: string; readonly port: number }

/**
 * A proxy for each namespace, so that cases can run beside each other and a fault stays in its own.
 *
 * @example
 * import { startBroker } from '@polybus/brokers'
 * import { redis } from '@polybus/redis'
 * import { namespaceProxies } from '@polybus/testkit'
 *
 * const server = () => startBroker('redis', { instance: 'conformance' })
 * const proxies = namespaceProxies(server, { isSend: (bytes) => bytes.includes('xadd') })
 *
 * export const name = 'redis'
 * export const parallel = 4
 * export const prepare = proxies.prepare
 * export const open = (namespace) =>
 *   proxies.open(namespace, ({ host, port }) => redis({ url: `redis://${host}:${port}`, leaseMs: 1500 }))
 * export const faults = (namespace) => ({
 *   ...proxies.faults(namespace),
 *   kill: async () => (await server()).kill(),
 *   restart: async () => (await server()).start(),
 * })
 * export const cleanup = async (namespace) => {
 *   await proxies.close(namespace)
 *   // and delete what lies on the broker under `namespace`, past the proxy
 * }
 */
export function namespaceProxies(
  target: Target | (() => Target | Promise<Target>),
  options: Omit<FaultProxyOptions, 'port'> = {},
): NamespaceProxies {
  const starting = new Map<string, Promise<FaultProxy>>()
  const started = new Map<string, FaultProxy>()
  const doors = new WeakMap<object, Door>()
  const of = (namespace: string): FaultProxy => {
    const proxy = started.get(namespace)
    if (!proxy) throw new Error(`The namespace '${namespace}' has no proxy: the harness must export prepare().`)
    return proxy
  }
  const start = async (): Promise<FaultProxy> =>
    faultProxy(typeof target === 'function' ? await target() : target, options)
  return {
    async prepare(namespace) {
      let making = starting.get(namespace)
      if (!making) starting.set(namespace, (making = start()))
      started.set(namespace, await making)
    },
    of,
    open(namespace, make) {
      const door = of(namespace).door()
      const adapter = make(door)
      doors.set(adapter, door)
      return adapter
    },
    faults: (namespace) => ({
      ...connectionFaults(of(namespace)),
      crash(adapter) {
        // The suite watches adapters by objects that inherit from them.
        for (let each: object | null = adapter; each; each = Object.getPrototypeOf(each) as object | null) {
          const door = doors.get(each)
          if (door) return door.shut()
        }
        throw new Error('Only an adapter that was made by open() of its proxies can be crashed.')
      },
    }),
    async close(namespace) {
      const proxy = started.get(namespace)
      started.delete(namespace)
      starting.delete(namespace)
      await proxy?.close()
    },
  }
}
