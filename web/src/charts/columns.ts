/** Turns a window of rows into the columns a strip draws. */

import type { Rows } from '../state/rows.ts';
import type { Series } from './strips.ts';

/** From the lowest to the highest value around an average, as drawn. */
export interface Band {
  low: (number | null)[];
  high: (number | null)[];
}

export interface Columns {
  /** Times in ms with one extra, empty row at the start of each hole. */
  at: number[];
  /** One per series, drawn values: stacked, mirrored; null in holes. */
  values: (number | null)[][];
  /** One per series whose extremes are known exactly, which those of several metrics together are not. */
  bands: (Band | undefined)[];
  /** Highest drawn size of left- and right-scale series. */
  highest: number;
  highestRight: number;
  /** Holes inside the window. */
  holes: { from: number; to: number }[];
}

/** One series' own value in a row; NaN when no metric has one. */
export function valueAt(rows: Rows, series: Series, row: number): number {
  let result = NaN;
  for (const name of series.metrics) {
    const value = rows.column(name)?.[row];
    if (value === undefined || Number.isNaN(value)) continue;
    if (Number.isNaN(result)) result = value;
    else result = series.combine === 'sum' ? result + value : Math.max(result, value);
  }
  return result;
}

/** Whether a series is drawn where its own values are. */
const standsAlone = (all: readonly Series[], index: number): boolean =>
  all[index]!.metrics.length === 1 && (all[index]!.look !== 'stack' || all.findIndex(({ look }) => look === 'stack') === index);

/** @param from @param to the window in hub time; one row more is taken on the left, so that lines reach the edge */
export function columnsOf(rows: Rows, all: readonly Series[], from: number, to: number): Columns {
  const result: Columns = { at: [], values: all.map(() => []), bands: [], highest: 0, highestRight: 0, holes: [] };
  const first = Math.max(0, rows.rowFrom(from) - 1);
  const end = Math.min(rows.length, rows.rowFrom(to) + 1);
  const columns = all.map((series) => series.metrics.map((name) => rows.column(name)).filter((column) => column !== undefined));
  const extremes = all.map(({ metrics: [name = ''] }, index) => (standsAlone(all, index) ? rows.extremes(name) : undefined));
  result.bands = extremes.map((one) => one && { low: [], high: [] });
  const note = (series: Series, drawn: number): void => {
    if (series.look === 'dotted') result.highestRight = Math.max(result.highestRight, drawn);
    else result.highest = Math.max(result.highest, drawn);
  };
  const pushBand = (index: number, row: number): void => {
    const band = result.bands[index];
    if (!band) return;
    const low = row < 0 ? NaN : extremes[index]!.low[row]!;
    const high = row < 0 ? NaN : extremes[index]!.high[row]!;
    const sign = all[index]!.mirrored ? -1 : 1;
    band.low.push(Number.isNaN(low) ? null : sign * low);
    band.high.push(Number.isNaN(high) ? null : sign * high);
    if (!Number.isNaN(high)) note(all[index]!, high);
  };
  // Metrics read every 10 s keep their last value in between.
  const held = all.map(() => NaN);
  let before = NaN;
  for (let row = first; row < end; row += 1) {
    const at = rows.at[row]!;
    if (at - before > rows.holeMs) {
      result.holes.push({ from: before + rows.stepMs, to: at });
      result.at.push(before + 1);
      for (const values of result.values) values.push(null);
      for (let index = 0; index < all.length; index += 1) pushBand(index, -1);
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
      pushBand(index, row);
      const values = result.values[index]!;
      if (Number.isNaN(value)) {
        values.push(null);
        continue;
      }
      if (series.look === 'stack') {
        stack += value;
        value = stack;
      }
      note(series, value);
      values.push(series.mirrored ? -value : value);
    }
  }
  return result;
}
