/**
 * Does a curve rise? The Theil–Sen slope: the median of the slopes between all pairs of points, which outliers do not move
 * (Sen 1968), with the interval in which the true slope lies with 95 % confidence. Pure.
 */

/** `[x, y]` */
export type Point = readonly [number, number]

export interface Trend {
  /** Change of y for each unit of x. */
  readonly slope: number
  readonly low: number
  readonly high: number
}

const NORMAL_95 = 1.96

/** @throws RangeError for fewer than two points of different x */
export function trendOf(points: readonly Point[]): Trend {
  const slopes = points
    .flatMap(([x1, y1], i) =>
      points.slice(i + 1).flatMap(([x2, y2]) => (x1 === x2 ? [] : [(y2 - y1) / (x2 - x1)])),
    )
    .sort((a, b) => a - b)
  if (slopes.length === 0)
    throw new RangeError(`trend: expected at least two points of different x, got ${points.length} points`)
  const n = points.length
  const spread = NORMAL_95 * Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18) // of Kendall's statistic
  const at = (rank: number): number => slopes[Math.min(Math.max(rank, 0), slopes.length - 1)] ?? 0
  return {
    slope: median(slopes),
    low: at(Math.floor((slopes.length - spread) / 2)),
    high: at(Math.ceil((slopes.length + spread) / 2)),
  }
}

/** @param sorted - rising, at least one */
function median(sorted: readonly number[]): number {
  const at = (i: number): number => sorted[i] ?? 0
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2
}
