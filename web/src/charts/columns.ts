/** Turns a window of samples into the columns a strip draws. */

import type { SampleStore } from '../state/samples.ts';
import type { Series } from './strips.ts';

/** Two samples further apart than this have a hole between them. */
export const holeMs = 2_600;

export interface Columns {
  /** Times in ms with one extra, empty row at the start of each hole. */
  at: number[];
  /** One per series, drawn values: stacked, mirrored; null in holes. */
  values: (number | null)[][];
  /** Highest drawn size of left- and right-scale series. */
  highest: number;
  highestRight: number;
  /** Holes inside the window. */
  holes: { from: number; to: number }[];
}

/** One series' own value in a row; NaN when no metric has one. */
export function valueAt(store: SampleStore, series: Series, row: number): number {
  let result = NaN;
  for (const name of series.metrics) {
    const value = store.column(name)?.[row];
    if (value === undefined || Number.isNaN(value)) continue;
    if (Number.isNaN(result)) result = value;
    else result = series.combine === 'sum' ? result + value : Math.max(result, value);
  }
  return result;
}

/** @param from @param to the window in hub time; one row more is taken on the left, so that lines reach the edge */
export function columnsOf(store: SampleStore, all: readonly Series[], from: number, to: number): Columns {
  const result: Columns = { at: [], values: all.map(() => []), highest: 0, highestRight: 0, holes: [] };
  const first = Math.max(0, store.rowFrom(from) - 1);
  const end = Math.min(store.length, store.rowFrom(to) + 1);
  const columns = all.map((series) => series.metrics.map((name) => store.column(name)).filter((column) => column !== undefined));
  // Metrics read every 10 s keep their last value in between.
  const held = all.map(() => NaN);
  let before = NaN;
  for (let row = first; row < end; row += 1) {
    const at = store.at[row]!;
    if (at - before > holeMs) {
      result.holes.push({ from: before, to: at });
      result.at.push(before + 1);
      for (const values of result.values) values.push(null);
      held.fill(NaN);
    }
    before = at;
    result.at.push(at);
    let stack = 0;
    for (let index = 0; index < all.length; index += 1) {
      const series = all[index]!;
      let value = NaN;
      for (const column of columns[index]!) {
        const part = column[row]!;
        if (Number.isNaN(part)) continue;
        if (Number.isNaN(value)) value = part;
        else value = series.combine === 'sum' ? value + part : Math.max(value, part);
      }
      if (Number.isNaN(value)) value = held[index]!;
      held[index] = value;
      const values = result.values[index]!;
      if (Number.isNaN(value)) {
        values.push(null);
        continue;
      }
      if (series.look === 'stack') {
        stack += value;
        value = stack;
      }
      if (series.look === 'dotted') result.highestRight = Math.max(result.highestRight, value);
      else result.highest = Math.max(result.highest, value);
      values.push(series.mirrored ? -value : value);
    }
  }
  return result;
}
