/** The texts of a strip's gutter. */

import { none, percent } from '../lib/format.ts';
import type { Rows } from '../state/rows.ts';
import { valueAt } from './columns.ts';
import type { Series, Strip } from './strips.ts';

export interface Figures {
  headline: string;
  /** One per series. */
  values: string[];
  /** One per series: what a bucket went between; empty for samples. */
  ranges: string[];
}

/** @param row −1: nothing near */
export function figuresOf(strip: Strip, rows: Rows, row: number, compact: boolean): Figures {
  const places = strip.series.map((series) => (row < 0 ? -1 : lastKnown(rows, series.metrics, row)));
  const numbers = strip.series.map((series, index) => (places[index]! < 0 ? NaN : valueAt(rows, series, places[index]!)));
  const values = numbers.map((value, index) => (Number.isNaN(value) ? none : strip.series[index]!.format(value)));
  const ranges = strip.series.map((series, index) => (Number.isNaN(numbers[index]!) ? '' : rangeOf(rows, series, places[index]!)));
  return { values, ranges, headline: headlineOf(strip, rows, row, numbers, values, compact) };
}

/** Of one metric; of several together only the average is known. */
function rangeOf(rows: Rows, { metrics, format }: Series, row: number): string {
  const extremes = metrics.length === 1 ? rows.extremes(metrics[0]!) : undefined;
  if (!extremes) return '';
  const average = rows.column(metrics[0]!)![row]!;
  return `min ${format(extremes.low[row]!)}, average ${format(average)}, max ${format(extremes.high[row]!)}`;
}

/** Metrics read every 10 s stand in few rows: the newest row within 15 s that has one. */
function lastKnown(rows: Rows, metrics: readonly string[], row: number): number {
  const column = rows.column(metrics[0] ?? '');
  if (!column) return row;
  for (let back = row; back >= 0 && rows.at[row]! - rows.at[back]! < 15_000; back -= 1) if (!Number.isNaN(column[back]!)) return back;
  return row;
}

function headlineOf(strip: Strip, rows: Rows, row: number, numbers: number[], values: string[], compact: boolean): string {
  const { headline } = strip;
  if (compact && strip.phone) return strip.phone === 'arrows' ? `↓ ${values[0]}  ↑ ${values[1]}` : `${values[0]}  ${values[1]}`;
  if ('text' in headline) return headline.text;
  if ('stack' in headline) {
    const sum = numbers.reduce(
      (total, value, index) => (strip.series[index]!.look === 'stack' && !Number.isNaN(value) ? total + value : total),
      0,
    );
    return row < 0 ? none : headline.format(Math.min(1, sum));
  }
  if ('ratioOf' in headline) {
    const total = row < 0 ? undefined : rows.column(headline.ratioOf)?.[row];
    if (compact) return values[headline.series]!;
    return total ? percent(numbers[headline.series]! / total) : none;
  }
  return values[headline.series] ?? none;
}
