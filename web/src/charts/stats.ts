/** A series within a window in four figures. */

import type { Rows } from '../state/rows.ts';
import { valueAt } from './columns.ts';
import type { Series } from './strips.ts';

export interface Stats {
  newest: number;
  lowest: number;
  average: number;
  highest: number;
}

/** Undefined when the series has no value from `from` to `to`. */
export function statsOf(rows: Rows, series: Series, from: number, to: number): Stats | undefined {
  const extremes = series.metrics.length === 1 ? rows.extremes(series.metrics[0]!) : undefined;
  let stats: Stats | undefined;
  let count = 0;
  for (let row = rows.rowFrom(from); row < rows.length && rows.at[row]! <= to; row += 1) {
    const value = valueAt(rows, series, row);
    if (Number.isNaN(value)) continue;
    count += 1;
    const low = extremes?.low[row] ?? value;
    const high = extremes?.high[row] ?? value;
    stats ??= { newest: value, lowest: low, average: 0, highest: high };
    stats.newest = value;
    stats.lowest = Math.min(stats.lowest, low);
    stats.highest = Math.max(stats.highest, high);
    stats.average += (value - stats.average) / count;
  }
  return stats;
}
