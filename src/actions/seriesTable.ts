/** Gathers samples and buckets of any size into the buckets of a chart. */

import type { RollupBlock } from '../chunks/rollups.ts';
import type { SampleColumns } from '../chunks/samples.ts';
import { lookUp } from '../protocol/metrics.ts';
import type { Grid } from './seriesGrid.ts';

/** More series, or buckets of all series, than the answer may have. */
export class TableFull extends Error {
  readonly what: 'series' | 'buckets';

  constructor(what: 'series' | 'buckets') {
    super(`too many ${what}`);
    this.name = 'TableFull';
    this.what = what;
  }
}

export interface Columns {
  min: (number | null)[];
  avg: (number | null)[];
  max: (number | null)[];
}

interface Sums {
  /** Samples behind each bucket; where it is 0, the bucket is a gap. */
  n: Float64Array;
  min: Float64Array;
  mean: Float64Array;
  max: Float64Array;
}

export interface TableLimits {
  series: number;
  /** Buckets of all series together. */
  buckets: number;
}

/** Averages are weighted by the samples behind them. */
export class SeriesTable {
  readonly #grid: Grid;
  readonly #limits: TableLimits;
  readonly #series = new Map<string, Sums>();

  constructor(grid: Grid, limits: TableLimits) {
    this.#grid = grid;
    this.#limits = limits;
  }

  /** Takes the samples in with fromMs ≤ at < toMs. Throws TableFull. */
  addSamples({ at, series }: SampleColumns, fromMs: number, toMs: number): void {
    const places = this.#places(at, fromMs, toMs);
    for (const [name, values] of series) {
      let sums = this.#series.get(name);
      for (let i = 0; i < values.length; i++) {
        const value = values[i]!;
        const place = places[i]!;
        if (place < 0 || Number.isNaN(value)) continue;
        add((sums ??= this.#sums(name)), place, 1, value, value, value);
      }
    }
  }

  /** Takes the buckets in that begin at fromMs or later, before toMs. Throws TableFull. */
  addBuckets({ at, series }: RollupBlock, fromMs: number, toMs: number): void {
    const places = this.#places(at, fromMs, toMs);
    for (const [name, { n, min, avg, max }] of series) {
      let sums = this.#series.get(name);
      for (let i = 0; i < n.length; i++) {
        const place = places[i]!;
        if (place < 0 || n[i] === 0) continue;
        add((sums ??= this.#sums(name)), place, n[i]!, min[i]!, avg[i]!, max[i]!);
      }
    }
  }

  /** By name; a bucket without a sample is null. */
  columns(): Map<string, Columns> {
    const names = [...this.#series.keys()].sort();
    return new Map(names.map((name) => [name, toColumns(name, this.#series.get(name)!)]));
  }

  /** Where each time belongs; −1: nowhere. */
  #places(at: readonly number[], fromMs: number, toMs: number): Int32Array {
    const { startMs, stepMs, count } = this.#grid;
    const places = new Int32Array(at.length);
    for (let i = 0; i < at.length; i++) {
      const time = at[i]!;
      const place = Math.floor((time - startMs) / stepMs);
      places[i] = time >= fromMs && time < toMs && place >= 0 && place < count ? place : -1;
    }
    return places;
  }

  #sums(name: string): Sums {
    const { count } = this.#grid;
    const { series, buckets } = this.#limits;
    if (this.#series.size >= series) throw new TableFull('series');
    if ((this.#series.size + 1) * count > buckets) throw new TableFull('buckets');
    const column = (): Float64Array => new Float64Array(count);
    const sums = { n: column(), min: column(), mean: column(), max: column() };
    this.#series.set(name, sums);
    return sums;
  }
}

function add(sums: Sums, place: number, n: number, min: number, avg: number, max: number): void {
  const known = sums.n[place]!;
  const all = known + n;
  sums.n[place] = all;
  if (known === 0) {
    sums.min[place] = min;
    sums.mean[place] = avg;
    sums.max[place] = max;
    return;
  }
  if (min < sums.min[place]!) sums.min[place] = min;
  if (max > sums.max[place]!) sums.max[place] = max;
  // A running mean: the sum of large values would lose digits, or overflow.
  sums.mean[place] = sums.mean[place]! * (known / all) + avg * (n / all);
}

/** Averages get two digits more than the metric has: more is noise, which makes answers long. */
function toColumns(name: string, { n, min, mean, max }: Sums): Columns {
  const decimals = lookUp(name)?.metric.decimals;
  const power = decimals === undefined ? undefined : 10 ** (decimals + 2);
  const columns: Columns = { min: [], avg: [], max: [] };
  for (let i = 0; i < n.length; i++) {
    const gap = n[i] === 0;
    const rounded = power === undefined ? mean[i]! : Math.round(mean[i]! * power) / power;
    columns.min.push(gap ? null : min[i]!);
    columns.avg.push(gap ? null : Math.min(max[i]!, Math.max(min[i]!, rounded)));
    columns.max.push(gap ? null : max[i]!);
  }
  return columns;
}
