// What goes wrong, as in life, but alike in every run: it depends on the order alone.
import type { Purchase } from './purchases.ts'

/** 1 %: the client did not hear that the order was placed, and places it again. */
export const isRepeated = ({ number }: Purchase): boolean => number % 100 === 7

/** 2 %: the payment gateway does not answer in time. */
export const timesOut = ({ number }: Purchase): boolean => number % 50 === 3

/** 0.1 %: the bank refuses the card. */
export const isDeclined = ({ number }: Purchase): boolean => number % 1000 === 400

/** For three days' orders the email provider is away. It is back when they are tried for the fourth time. */
export const isAway = ({ date }: Purchase, attempt: number): boolean =>
  date >= '19970103' && date <= '19970105' && attempt < 4

/** What some other system, which does not use Polybus, takes for orders. */
export const MALFORMED: readonly string[] = [
  '<order customer="00001"/>',
  '{"number":70001,"customer":"00001","date":"19970101","cds":1,"dollars":"11.77"}',
  '{"number":70002,"customer":1,"date":"19970101","cds":0,"cents":-1177}',
]
