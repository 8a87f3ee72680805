/** Of all that are given, the smallest that so many per cent do not exceed. */
export function percentile(values: Float64Array | readonly number[], percent: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? NaN
}
