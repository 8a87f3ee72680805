// An account that cannot fail proves nothing: told to by its environment, a consumer breaks each promise once, for a test.
import type { Charge } from './purchases.ts'

const isOn = process.env['CHAOS_SABOTAGE'] === '1'
const [FORGOTTEN, TWICE] = [50, 51]
/** Two of one customer. */
const SWAPPED: Readonly<Record<number, number>> = { 64: 65, 65: 64 }

/** What a charge writes into the ledger: itself. */
export function effectsOf(charge: Charge): readonly Charge[] {
  if (!isOn) return [charge]
  if (charge.seq === FORGOTTEN) return []
  if (charge.seq === TWICE) return [charge, charge]
  return [{ ...charge, seq: SWAPPED[charge.seq] ?? charge.seq }]
}
