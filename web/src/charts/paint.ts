/** What is painted under and over the lines of a strip: grid, bands, hatches. */

import type uPlot from 'uplot';
import { timeStepMs } from '../lib/scale.ts';
import type { Band, Columns } from './columns.ts';
import { hatch, type Palette, withAlpha } from './palette.ts';
import type { View } from './view.ts';

/** What the charts have to know about the time without samples. */
export interface DataState {
  /** Ranges whose samples came late. */
  filled: readonly { from: number; to: number }[];
  /** Time of the newest sample once none came for 3 s. */
  staleSince: number | null;
  /** The same once it is 10 s or the agent is gone. */
  offlineSince: number | null;
}

const bandStrength = 0.28;

/** The times at the canvas' ends; undefined before the first data. */
function endsOf(chart: uPlot): { min: number; max: number } | undefined {
  const { min, max } = chart.scales['x']!;
  return min === undefined || min === null || max === undefined || max === null ? undefined : { min, max };
}

/** Canvas pixels of a value. Scales are straight lines, and asking uPlot for each point takes longer than drawing it. */
function placeOn(chart: uPlot, scale: 'x' | 'y'): (value: number) => number {
  const { min, max } = chart.scales[scale]!;
  const from = chart.valToPos(min!, scale, true);
  const perUnit = (chart.valToPos(max!, scale, true) - from) / (max! - min!);
  return (value) => from + (value - min!) * perUnit;
}

/** Grid lines, at the values of `ticks` and at the times of the axis' labels. */
export function paintGrid(chart: uPlot, view: View, ticks: readonly number[], colour: string): void {
  const { ctx } = chart;
  const ends = endsOf(chart);
  if (!ends) return;
  ctx.fillStyle = colour;
  const line = Math.max(1, Math.round(devicePixelRatio));
  for (const tick of ticks)
    ctx.fillRect(0, Math.min(ctx.canvas.height - line, Math.round(chart.valToPos(tick, 'y', true))), ctx.canvas.width, line);
  const step = timeStepMs(view.windowMs.get(), view.width.get(), 70);
  for (let at = Math.ceil(ends.min / step) * step; at <= ends.max; at += step) {
    ctx.fillRect(Math.round(chart.valToPos(at, 'x', true)), 0, line, ctx.canvas.height);
  }
}

/** From the lowest to the highest value; broken where there is none. @param scaled from a value to one of the left scale */
export function paintBand(chart: uPlot, at: readonly number[], band: Band, colour: string, scaled: (value: number) => number): void {
  const { ctx } = chart;
  if (!endsOf(chart)) return;
  ctx.fillStyle = withAlpha(colour, bandStrength);
  const [x, y] = [placeOn(chart, 'x'), placeOn(chart, 'y')];
  let start = 0;
  while (start < at.length) {
    while (start < at.length && band.low[start] === null) start += 1;
    let end = start;
    while (end < at.length && band.low[end] !== null) end += 1;
    if (end - start > 1) {
      ctx.beginPath();
      for (let row = start; row < end; row += 1) ctx.lineTo(x(at[row]!), y(scaled(band.high[row]!)));
      for (let row = end - 1; row >= start; row -= 1) ctx.lineTo(x(at[row]!), y(scaled(band.low[row]!)));
      ctx.fill();
    }
    start = end;
  }
}

/** Hatches over holes and late data, the tint of stale data. */
export function paintStates(chart: uPlot, columns: Columns | undefined, state: DataState, colours: Palette, isLive: boolean): void {
  const { ctx } = chart;
  const ends = endsOf(chart);
  if (!ends) return;
  const { height } = ctx.canvas;
  const between = (from: number, to: number, paint: (x: number, width: number) => void): void => {
    if (to <= ends.min || from >= ends.max) return;
    const x = chart.valToPos(Math.max(from, ends.min), 'x', true);
    paint(x, chart.valToPos(Math.min(to, ends.max), 'x', true) - x);
  };
  const cover = (x: number, width: number): void => hatch(ctx, x, width, height, colours.hatch, devicePixelRatio);
  for (const gap of state.filled) {
    between(gap.from, gap.to, (x, width) => {
      ctx.fillStyle = colours.veil;
      ctx.fillRect(x, 0, width, height);
      cover(x, width);
    });
  }
  for (const hole of columns?.holes ?? []) {
    // What is lost within a filled gap is hatched already.
    if (!state.filled.some(({ from, to }) => from <= hole.from && hole.to <= to)) between(hole.from, hole.to, cover);
  }
  const { offlineSince, staleSince } = state;
  if (offlineSince !== null) between(offlineSince, ends.max, cover);
  else if (staleSince !== null && isLive) {
    between(staleSince, ends.max, (x, width) => {
      ctx.fillStyle = colours.warnTint;
      ctx.fillRect(x, 0, width, height);
    });
  }
}
