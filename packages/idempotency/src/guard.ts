/** An object that refuses use once it has been ended: a transaction that is over must not be written through. */
export interface Guard<T> {
  readonly tx: T
  end(): void
}

export interface GuardOptions {
  /** Methods whose results are guarded too. */
  readonly makers?: readonly string[]
  /** Methods that are not the user's to call. */
  readonly denied?: readonly string[]
  /** Methods whose first argument is a statement, which this refuses by throwing. */
  readonly statements?: { readonly of: readonly string[]; readonly check: (statement: unknown) => void }
}

export function guard<T extends object>(
  target: T,
  { makers = [], denied = [], statements }: GuardOptions = {},
): Guard<T> {
  let over = false
  const check = (): void => {
    if (over) throw new Error('The transaction is over: it was committed or rolled back.')
  }
  const wrap = <O extends object>(object: O): O => {
    const proxy: O = new Proxy(object, {
      get(_, name) {
        check()
        if (typeof name === 'string' && denied.includes(name))
          throw new Error(`The store owns this transaction: ${name}() is not the handler's to call.`)
        // Of the object itself: private members know no proxies.
        const value: unknown = Reflect.get(object, name, object)
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => {
          check()
          if (typeof name === 'string' && statements?.of.includes(name)) statements.check(args[0])
          const result: unknown = Reflect.apply(value, object, args)
          if (result === object) return proxy
          return typeof name === 'string' && makers.includes(name) ? wrap(result as object) : result
        }
      },
    })
    return proxy
  }
  return { tx: wrap(target), end: () => void (over = true) }
}
