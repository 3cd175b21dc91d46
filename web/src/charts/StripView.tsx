/** One strip: its gutter with figures, its y axis, its moving canvas. */

import { useEffect, useRef } from 'react';
import { useStore } from '../lib/store.ts';
import { none } from '../lib/format.ts';
import type { Rows } from '../state/rows.ts';
import { figuresOf } from './figures.ts';
import { Heat } from './heat.ts';
import type { Palette } from './palette.ts';
import type { DataState } from './paint.ts';
import { Plot } from './plot.ts';
import type { Strip } from './strips.ts';
import { StripTable } from './StripTable.tsx';
import type { View } from './view.ts';

export interface StripViewProps {
  strip: Strip;
  view: View;
  /** What the window shows. */
  rows: () => Rows;
  /** Where the newest figures stand. */
  samples: Rows;
  palette: () => Palette;
  state: () => DataState;
  /** Phone: the title stands above the plot. */
  compact: boolean;
}

const heatPx = 21;
const compactPlotPx = 96;

/** Names in the strip's title; arrows say it without. */
const shownOnPhone = ({ phone }: Strip): number => (phone === 'arrows' ? 0 : phone === 'both' ? 2 : 3);

export function StripView({ strip, view, rows, samples, palette, state, compact }: StripViewProps) {
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
        rows,
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
      const heat = new Heat(heatCanvas.current, { cores: strip.cores!, view, rows, palette });
      leave.push(view.addLayer(heat), () => heat.close());
    }

    const write = (): void => {
      const at = view.crossTime.get();
      // An agent that is away has no figures of now.
      const newest = view.freshness.get() === 'offline' ? -1 : samples.length - 1;
      const source = at === null ? samples : rows();
      const figures = figuresOf(strip, source, at === null ? newest : source.rowNear(at, 2_600), compact);
      if (headline.textContent !== figures.headline) headline.textContent = figures.headline;
      cells.forEach((cell, index) => {
        if (cell.textContent !== figures.values[index]) cell.textContent = figures.values[index]!;
        if (cell.title !== figures.ranges[index]) cell.title = figures.ranges[index]!;
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
    leave.push(samples.follow(write), view.freshness.follow(write), view.crossTime.follow(write), view.onFrame(moveDots));
    return () => {
      for (const stop of leave) stop();
      plot.close();
    };
  }, [strip, view, rows, samples, palette, state, compact, height, withHeat]);

  return (
    <section className="strip" ref={section} style={compact ? undefined : { height: strip.height }} aria-label={strip.title}>
      <div className="legend">
        <h3>
          <span>{strip.title}</span>
          <b data-headline>{none}</b>
        </h3>
        {strip.series.map((series, index) => (
          <p key={series.label} hidden={compact && index >= shownOnPhone(strip)}>
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
      <StripTable strip={strip} view={view} rows={rows} />
    </section>
  );
}
