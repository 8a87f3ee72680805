// Claims that the server may hold for nobody: their answer did not come, or they could not be given back. The next claim of the
// key takes them over, instead of waiting until their leases end.
//
// A fence is `<family>.<serial>`. A claim whose try before it was not answered goes on with that one's family, so that one fence
// stands for all tries; there is a family for each claim of a key that was out at the same time.

export interface Unanswered {
  /** The fences of a key. The first is the caller's to go on with; the others stay, for whoever comes meanwhile. */
  take(key: string): readonly string[]
  remember(key: string, fence: string): void
  /** Answered: these are no longer held, or not for nobody. One that has been tried again since is another fence. */
  forget(key: string, fences: readonly string[]): void
}

const MAX_KEYS = 10_000
const NONE: readonly string[] = []

export const familyOf = (fence: string): string => fence.slice(0, fence.lastIndexOf('.'))

export function createUnanswered(): Unanswered {
  const byKey = new Map<string, readonly string[]>()
  const keep = (key: string, fences: readonly string[]): void => {
    byKey.delete(key)
    if (fences.length > 0) byKey.set(key, fences)
    if (byKey.size <= MAX_KEYS) return
    for (const oldest of byKey.keys()) return void byKey.delete(oldest)
  }
  return {
    take(key) {
      const fences = byKey.get(key)
      if (!fences) return NONE
      keep(key, fences.slice(1))
      return fences
    },
    remember: (key, fence) => keep(key, [...(byKey.get(key) ?? NONE), fence]),
    forget(key, fences) {
      const kept = fences.length > 0 ? byKey.get(key) : undefined
      if (kept)
        keep(
          key,
          kept.filter((fence) => !fences.includes(fence)),
        )
    },
  }
}
