/** One strip's canvas: drawn once per sample by uPlot, shifted by time in between. */

import uPlot from 'uplot';
import type { Rows } from '../state/rows.ts';
import { StickyCeiling } from '../lib/scale.ts';
import { columnsOf, type Columns } from './columns.ts';
import { Mover } from './mover.ts';
import { type DataState, paintBand, paintGrid, paintStates } from './paint.ts';
import { type Palette, withAlpha } from './palette.ts';
import type { Ceiling, Series, Strip } from './strips.ts';
import type { Layer, View } from './view.ts';

export interface PlotOptions {
  strip: Strip;
  view: View;
  rows: () => Rows;
  palette: () => Palette;
  state: () => DataState;
  /** Told when the ends of the scales changed; places are pixels from the strip's top. */
  onScale: (ticks: { value: number; topPx: number }[], right: number) => void;
  /** Pixels above and below the drawn part that stay free. */
  topPx: number;
  bottomPx: number;
}

/** The canvas reaches this far into the future, so that shifting it never shows its end. */
const aheadMs = 2_500;

class Scale {
  readonly #ceiling: Ceiling;
  readonly sticky: StickyCeiling | undefined;

  constructor(ceiling: Ceiling) {
    this.#ceiling = ceiling;
    this.sticky = ceiling.kind === 'steps' ? new StickyCeiling(ceiling.least, ceiling.binary) : undefined;
  }

  ends(highest: number, mirrored: boolean): { low: number; high: number; ticks: number[] } {
    if (this.#ceiling.kind === 'fixed') return this.#ceiling;
    const high = this.sticky!.next(highest, performance.now());
    return mirrored ? { low: -high, high, ticks: [-high, 0, high] } : { low: 0, high, ticks: [0, high / 2, high] };
  }
}

export class Plot implements Layer {
  readonly #options: PlotOptions;
  readonly #root: HTMLElement;
  readonly #chart: uPlot;
  readonly #mirrored: boolean;
  /** The series with, behind them, what surrounds their stack. */
  readonly #read: readonly Series[];
  readonly #left: Scale;
  readonly #right: Scale | undefined;
  #columns: Columns | undefined;
  #ends = { low: 0, high: 1, ticks: [0, 1] };
  #rightHigh = 1;
  #told = false;
  #drawn = { end: 0, version: -1, width: 0, windowMs: 0, look: -1, rows: undefined as Rows | undefined };
  readonly #mover: Mover;
  #state: DataState = { filled: [], staleSince: null, offlineSince: null };

  constructor(root: HTMLElement, options: PlotOptions, heightPx: number) {
    this.#options = options;
    this.#root = root;
    this.#mover = new Mover(options.view, 2 * aheadMs);
    const { strip } = options;
    this.#mirrored = strip.series.some((series) => series.mirrored);
    this.#read = strip.peak ? [...strip.series, strip.peak] : strip.series;
    this.#left = new Scale(strip.left);
    this.#right = strip.right && new Scale(strip.right.ceiling);
    this.#chart = new uPlot(this.#uplotOptions(heightPx), [[], ...strip.series.map(() => [])], root);
  }

  close(): void {
    this.#mover.close();
    this.#chart.destroy();
  }

  setHeight(heightPx: number): void {
    if (heightPx === this.#chart.height) return;
    this.#chart.setSize({ width: this.#chart.width, height: heightPx });
    this.#drawn.version = -1;
    this.#told = false;
  }

  isDue(end: number): boolean {
    const { view } = this.#options;
    const rows = this.#options.rows();
    const drawn = this.#drawn;
    return (
      drawn.rows !== rows ||
      drawn.version !== rows.version ||
      drawn.width !== view.width.get() ||
      drawn.windowMs !== view.windowMs.get() ||
      drawn.look !== view.look.get() ||
      Math.abs(end - drawn.end) > aheadMs * 0.8
    );
  }

  draw(end: number): void {
    const { view, state } = this.#options;
    const width = view.width.get();
    if (width <= 0) return;
    const windowMs = view.windowMs.get();
    const rows = this.#options.rows();
    if (windowMs !== this.#drawn.windowMs) {
      this.#left.sticky?.reset();
      this.#right?.sticky?.reset();
    }
    this.#drawn = { end, version: rows.version, width, windowMs, look: view.look.get(), rows };
    this.#state = state();
    const columns = columnsOf(rows, this.#read, end - windowMs, end);
    this.#columns = columns;
    this.#rescale(columns);
    const canvasWidth = Math.ceil(width + aheadMs * view.pxPerMs());
    if (canvasWidth !== this.#chart.width) this.#chart.setSize({ width: canvasWidth, height: this.#chart.height });
    // uPlot draws the top of the stack first, and everything else above it.
    const data = [columns.at, ...this.#order().map((index) => this.#scaled(index))] as uPlot.AlignedData;
    this.#chart.batch(() => {
      this.#chart.setData(data, false);
      this.#chart.setScale('x', { min: end - windowMs, max: end - windowMs + canvasWidth / view.pxPerMs() });
      this.#chart.setScale('y', { min: this.#ends.low, max: this.#ends.high });
    });
  }

  place(end: number): void {
    this.#mover.place(this.#root, this.#drawn.end, end);
  }

  /** Pixels from the strip's top for each series at a time; null where there is nothing near it. */
  dotsAt(at: number): (number | null)[] {
    const columns = this.#columns;
    if (!columns || columns.at.length === 0) return this.#options.strip.series.map(() => null);
    const row = nearest(columns.at, at);
    if (Math.abs(columns.at[row]! - at) > (this.#drawn.rows?.holeMs ?? 0)) return this.#options.strip.series.map(() => null);
    return this.#options.strip.series.map((_, index) => {
      const value = this.#scaledValue(index, columns.values[index]![row]!);
      return value === null ? null : this.#chart.valToPos(value, 'y') + this.#options.topPx;
    });
  }

  #rescale(columns: Columns): void {
    const ends = this.#left.ends(columns.highest, this.#mirrored);
    const right = this.#right?.ends(columns.highestRight, false).high ?? 1;
    const changed = ends.high !== this.#ends.high || ends.low !== this.#ends.low || right !== this.#rightHigh;
    this.#ends = ends;
    this.#rightHigh = right;
    if (!changed && this.#told) return;
    this.#told = true;
    const { topPx, bottomPx, onScale } = this.#options;
    const plotPx = this.#chart.height - topPx - bottomPx;
    onScale(
      ends.ticks.map((value) => ({ value, topPx: topPx + plotPx * (1 - (value - ends.low) / (ends.high - ends.low)) })),
      right,
    );
  }

  /** Series indices in drawing order: the stack from its top down, then lines. */
  #order(): number[] {
    const all = this.#options.strip.series.map((_, index) => index);
    const isStack = (index: number): boolean => this.#options.strip.series[index]!.look === 'stack';
    return [...all.filter(isStack).reverse(), ...all.filter((index) => !isStack(index))];
  }

  #scaledValue(index: number, value: number | null): number | null {
    if (value === null || this.#read[index]!.look !== 'dotted') return value;
    return this.#ends.low + (value / this.#rightHigh) * (this.#ends.high - this.#ends.low);
  }

  #scaled(index: number): (number | null)[] {
    const values = this.#columns!.values[index]!;
    return this.#options.strip.series[index]!.look === 'dotted' ? values.map((value) => this.#scaledValue(index, value)) : values;
  }

  #colour(index: number): string {
    const palette = this.#options.palette();
    if (this.#state.offlineSince !== null) return palette.off;
    return palette.series[this.#options.strip.series[index]!.colour - 1]!;
  }

  #uplotOptions(heightPx: number): uPlot.Options {
    const { strip, palette, topPx, bottomPx } = this.#options;
    const order = this.#order();
    const stacked = order.filter((index) => strip.series[index]!.look === 'stack').length;
    const strength = (index: number): number => {
      if (strip.series[index]!.colour === 8) return 0.1;
      return strip.series[index]!.look === 'stack' ? palette().fill : palette().fillLine * (strip.id === 'network' ? 1 : 0.6);
    };
    const fill = (index: number) => () => withAlpha(this.#colour(index), strength(index));
    return {
      width: 100,
      height: heightPx,
      padding: [topPx, 0, bottomPx, 0],
      legend: { show: false },
      cursor: { show: false },
      select: { show: false, left: 0, top: 0, width: 0, height: 0 },
      scales: { x: { time: false, auto: false }, y: { auto: false, range: (_, low, high) => [low, high] } },
      axes: [{ show: false }, { show: false }],
      bands: order.slice(0, Math.max(0, stacked - 1)).map((index, place) => ({ series: [place + 1, place + 2], fill: fill(index) })),
      series: [
        {},
        ...order.map((index): uPlot.Series => {
          const { look } = strip.series[index]!;
          return {
            stroke: () => this.#colour(index),
            width: look === 'stack' ? 1 : look === 'area' && strip.id === 'network' ? 1 : 1.5,
            points: { show: false },
            ...(look === 'dotted' ? { dash: [3, 2], width: 1.25 } : {}),
            ...(look === 'stack' || look === 'area' ? { fill: fill(index) } : {}),
          };
        }),
      ],
      hooks: { drawClear: [(chart) => this.#under(chart)], draw: [(chart) => this.#over(chart)] },
    };
  }

  #under(chart: uPlot): void {
    const { view, palette, strip } = this.#options;
    paintGrid(chart, view, this.#ends.ticks, palette().grid);
    this.#columns?.bands.forEach((band, index) => {
      const colour = this.#colour(index < strip.series.length ? index : 0);
      if (band) paintBand(chart, this.#columns!.at, band, colour, (value) => this.#scaledValue(index, value)!);
    });
  }

  #over(chart: uPlot): void {
    const { palette, rows, view } = this.#options;
    paintStates(chart, this.#columns, this.#state, palette(), view.pausedAt.get() === null && rows().length > 0);
  }
}

function nearest(times: readonly number[], at: number): number {
  let low = 0;
  let high = times.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (times[middle]! < at) low = middle + 1;
    else high = middle;
  }
  return low > 0 && at - times[low - 1]! < times[low]! - at ? low - 1 : low;
}
