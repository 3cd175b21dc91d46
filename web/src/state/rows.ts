/** What charts read: times with one column of values per metric, whether samples or buckets of them. */

export interface Rows {
  /** Ascending times in hub time; only the first `length` count. */
  readonly at: Float64Array;
  readonly length: number;
  /** Counts every change. */
  readonly version: number;
  /** How long a row lasts: 0 for samples, which are moments. */
  readonly stepMs: number;
  /** Two rows further apart than this have a hole between them. */
  readonly holeMs: number;
  /** All metric names. */
  names(): string[];
  /** The values of a metric (of buckets: averages), NaN where a row lacks it; undefined when no row has it. */
  column(name: string): Float32Array | undefined;
  /** Lowest and highest values of buckets; undefined for samples, which have only themselves. */
  extremes(name: string): { low: Float32Array; high: Float32Array } | undefined;
  /** The first row whose time is at or after `at`. */
  rowFrom(at: number): number;
  /** The row nearest to `at` within `withinMs`; -1 when there is none. */
  rowNear(at: number, withinMs: number): number;
  follow(changed: () => void): () => void;
}

/** `Rows.rowFrom` over the first `length` of `times`. */
export function firstFrom(times: Float64Array, length: number, at: number): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (times[middle]! < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** `Rows.rowNear` over the first `length` of `times`. */
export function nearestTo(times: Float64Array, length: number, at: number, withinMs: number): number {
  const after = firstFrom(times, length, at);
  let best = -1;
  let distance = withinMs;
  for (const row of [after - 1, after]) {
    if (row < 0 || row >= length) continue;
    const away = Math.abs(times[row]! - at);
    if (away <= distance) {
      best = row;
      distance = away;
    }
  }
  return best;
}
