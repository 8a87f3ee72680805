/** Each of them gets every order. */
export const GROUPS = ['charge', 'inventory', 'email', 'warehouse', 'analytics', 'fraud'] as const
export type Group = (typeof GROUPS)[number]
