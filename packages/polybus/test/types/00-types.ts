// oxlint-disable typescript/no-unnecessary-type-parameters -- the parameters are what is compared
export type Eq<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
export const is = <_T extends true>(): void => {}
