export interface Line {
  readonly slope: number
  /** Of the heights. */
  readonly mean: number
}

/** By least squares. */
export function lineThrough(points: readonly (readonly [x: number, y: number])[]): Line {
  const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
  const middle = meanOf(points.map(([x]) => x))
  const mean = meanOf(points.map(([, y]) => y))
  const spread = points.reduce((sum, [x]) => sum + (x - middle) ** 2, 0)
  const common = points.reduce((sum, [x, y]) => sum + (x - middle) * (y - mean), 0)
  return { slope: spread === 0 ? 0 : common / spread, mean }
}
