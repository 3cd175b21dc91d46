/** One strip: its gutter with figures, its y axis, its moving canvas. */

import { useEffect, useRef } from 'react';
import { useStore } from '../lib/store.ts';
import { none, percent } from '../lib/format.ts';
import type { SampleStore } from '../state/samples.ts';
import { valueAt } from './columns.ts';
import { Heat } from './heat.ts';
import type { Palette } from './palette.ts';
import { type DataState, Plot } from './plot.ts';
import type { Strip } from './strips.ts';
import type { View } from './view.ts';

export interface StripViewProps {
  strip: Strip;
  view: View;
  store: SampleStore;
  palette: () => Palette;
  state: () => DataState;
  /** Phone: the title stands above the plot. */
  compact: boolean;
}

const heatPx = 21;
const compactPlotPx = 96;

/** Texts of the gutter in a row of samples; −1: no sample near. */
function figuresOf(strip: Strip, store: SampleStore, row: number, compact: boolean): { headline: string; values: string[] } {
  const numbers = strip.series.map((series) => (row < 0 ? NaN : valueAt(store, series, lastKnown(store, series.metrics, row))));
  const values = numbers.map((value, index) => (Number.isNaN(value) ? none : strip.series[index]!.format(value)));
  return { values, headline: headlineOf(strip, store, row, numbers, values, compact) };
}

/** Metrics read every 10 s stand in few rows: the newest row within 15 s that has one. */
function lastKnown(store: SampleStore, metrics: readonly string[], row: number): number {
  const column = store.column(metrics[0] ?? '');
  if (!column) return row;
  for (let back = row; back >= 0 && row - back < 15; back -= 1) if (!Number.isNaN(column[back]!)) return back;
  return row;
}

function headlineOf(strip: Strip, store: SampleStore, row: number, numbers: number[], values: string[], compact: boolean): string {
  const { headline } = strip;
  if (compact && strip.phone === 'both') return strip.id === 'network' ? `↓ ${values[0]}  ↑ ${values[1]}` : `${values[0]}  ${values[1]}`;
  if ('text' in headline) return headline.text;
  if ('stack' in headline) {
    const sum = numbers.reduce(
      (total, value, index) => (strip.series[index]!.look === 'stack' && !Number.isNaN(value) ? total + value : total),
      0,
    );
    return row < 0 ? none : headline.format(Math.min(1, sum));
  }
  if ('ratioOf' in headline) {
    const total = row < 0 ? undefined : store.column(headline.ratioOf)?.[row];
    if (compact) return values[headline.series]!;
    return total ? percent(numbers[headline.series]! / total) : none;
  }
  return values[headline.series] ?? none;
}

export function StripView({ strip, view, store, palette, state, compact }: StripViewProps) {
  const section = useRef<HTMLElement>(null);
  const plotRoot = useRef<HTMLDivElement>(null);
  const heatCanvas = useRef<HTMLCanvasElement>(null);
  // Colours are read by CSS variables, so only what uPlot painted has to be painted again.
  useStore(view.look);
  const withHeat = !compact && (strip.cores?.length ?? 0) > 0;
  const height = compact ? compactPlotPx : strip.height - 1 - (withHeat ? heatPx : 0);

  useEffect(() => {
    const root = section.current!;
    const labels = root.querySelector<HTMLElement>('.y-labels')!;
    const right = root.querySelector<HTMLElement>('.right-label');
    const headline = root.querySelector<HTMLElement>('[data-headline]')!;
    const cells = [...root.querySelectorAll<HTMLElement>('[data-value]')];
    const dots = [...root.querySelectorAll<HTMLElement>('.dot')];
    const plot = new Plot(
      plotRoot.current!,
      {
        strip,
        view,
        store,
        palette,
        state,
        topPx: strip.id === 'cpu' && !compact ? 22 : 6,
        bottomPx: 4,
        onScale: (ticks, high) => {
          labels.replaceChildren(
            ...ticks.map(({ value, topPx }) => {
              const label = document.createElement('span');
              label.textContent = compact ? strip.axis(value).replace(/B\/s$/u, '') : strip.axis(value);
              label.style.top = `${topPx}px`;
              if (topPx < 9) label.className = 'top';
              else if (topPx > height - 8) label.className = 'bottom';
              return label;
            }),
          );
          if (right && strip.right) right.textContent = strip.right.label(high);
        },
      },
      height,
    );
    const leave = [view.addLayer(plot)];
    if (withHeat && heatCanvas.current) {
      const heat = new Heat(heatCanvas.current, { cores: strip.cores!, view, store, palette });
      leave.push(view.addLayer(heat), () => heat.close());
    }

    const write = (): void => {
      const at = view.crossTime.get();
      // An agent that is away has no figures of now.
      const newest = view.freshness.get() === 'offline' ? -1 : store.length - 1;
      const row = at === null ? newest : store.rowNear(at, 2_600);
      const figures = figuresOf(strip, store, row, compact);
      if (headline.textContent !== figures.headline) headline.textContent = figures.headline;
      cells.forEach((cell, index) => {
        if (cell.textContent !== figures.values[index]) cell.textContent = figures.values[index]!;
      });
    };
    let shown = '';
    const moveDots = (end: number): void => {
      const x = view.crossX(end);
      const places = x === null ? [] : plot.dotsAt(view.timeAt(x, end));
      const next = x === null ? '' : `${x.toFixed(1)} ${places.map((y) => y?.toFixed(1)).join()}`;
      if (next === shown) return;
      shown = next;
      dots.forEach((dot, index) => {
        const y = places[index];
        dot.style.visibility = y === undefined || y === null ? 'hidden' : 'visible';
        if (y !== undefined && y !== null) dot.style.transform = `translate(${x}px,${y}px)`;
      });
    };
    write();
    leave.push(store.follow(write), view.freshness.follow(write), view.crossTime.follow(write), view.onFrame(moveDots));
    return () => {
      for (const stop of leave) stop();
      plot.close();
    };
  }, [strip, view, store, palette, state, compact, height, withHeat]);

  return (
    <section className="strip" ref={section} style={compact ? undefined : { height: strip.height }} aria-label={strip.title}>
      <div className="legend">
        <h3>
          <span>{strip.title}</span>
          <b data-headline>{none}</b>
        </h3>
        {strip.series.map((series, index) => (
          <p key={series.label} hidden={compact && (strip.phone === 'both' ? true : index > 2)}>
            <i
              className={`key ${series.look} ${series.look === 'area' && strip.id === 'network' ? 'filled' : ''}`}
              style={{ ['--c' as string]: `var(--s${series.colour})` }}
            />
            <span>{series.label}</span>
            <b data-value>{none}</b>
          </p>
        ))}
        {withHeat && (
          <span className="cores-note">{strip.cores!.length === 1 ? '1 core, busy' : `${strip.cores!.length} cores, busy`}</span>
        )}
      </div>
      <div className="plot-box">
        <div className="y-labels" aria-hidden="true" />
        <div className="clip plot-clip">
          <div className="plot" ref={plotRoot} aria-hidden="true" />
          {strip.series.map((series) => (
            <i className="dot" key={series.label} style={{ ['--c' as string]: `var(--s${series.colour})` }} />
          ))}
        </div>
        {strip.right && <span className="right-label" aria-hidden="true" />}
        {withHeat && (
          <div className="clip heat-clip">
            <canvas className="heat" ref={heatCanvas} aria-hidden="true" />
          </div>
        )}
      </div>
    </section>
  );
}
