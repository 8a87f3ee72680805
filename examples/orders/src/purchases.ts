// What people bought at the online shop CDNOW, 1997 to 1998: see data/README.md.
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'

export interface Purchase {
  /** Its line in the file. Nothing else tells two purchases apart: some lines stand there twice. */
  readonly number: number
  readonly customer: string
  /** YYYYMMDD. */
  readonly date: string
  readonly cds: number
  readonly cents: number
}

const FILE = new URL('../data/CDNOW_master.txt.gz', import.meta.url)

/** All 69,659 purchases in the order of their dates; those of one day as the file has them. */
export function readPurchases(): Purchase[] {
  const [, ...lines] = gunzipSync(readFileSync(FILE)).toString('latin1').trimEnd().split('\r\n')
  return lines.map(toPurchase).sort((a, b) => Number(a.date) - Number(b.date))
}

function toPurchase(line: string, index: number): Purchase {
  const [customer = '', date = '', cds, dollars = ''] = line.trim().split(/ +/)
  // Two decimals always: without its point the text is a whole number of cents. The header is line 1.
  return { number: index + 2, customer, date, cds: Number(cds), cents: Number(dollars.replace('.', '')) }
}
