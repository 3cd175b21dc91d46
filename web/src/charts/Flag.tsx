/** The crosshair below the strips: its line in the lane, its time on the axis; both moved without React. */

import { useEffect, useRef } from 'react';
import { clockSeconds } from '../lib/format.ts';
import type { View } from './view.ts';

const halfFlagPx = 31;
/** Labels nearer to the flag than this would be cut by it. */
const hidesWithinPx = 48;
/** Half of a label and of what it may stand out over the plots' ends. */
const halfLabelPx = { short: 15, long: 25 };
const edgePx = 16;
/** A label moves about a pixel in this time. */
const labelsEveryMs = 100;

export function Flag({ view }: { view: View }) {
  const ref = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    let moved: number | null | undefined;
    let labelsAt = 0;
    return view.onFrame((end) => {
      const flag = ref.current;
      if (!flag) return;
      const x = view.crossX(end);
      if (x !== null) {
        const text = clockSeconds(view.timeAt(x, end));
        if (flag.textContent !== text) flag.textContent = text;
      }
      const now = performance.now();
      if (x !== moved || now - labelsAt >= labelsEveryMs) {
        labelsAt = now;
        showLabels(flag, view, x, end);
      }
      if (x === moved) return;
      moved = x;
      flag.style.visibility = x === null ? 'hidden' : 'visible';
      if (x === null) return;
      const left = Math.min(Math.max(x, halfFlagPx), Math.max(halfFlagPx, view.width.get() - halfFlagPx));
      flag.style.transform = `translateX(${left}px) translateX(-50%)`;
    });
  }, [view]);
  return <span className="flag" ref={ref} aria-hidden="true" />;
}

/** Only labels that stand whole beside the flag and within the axis. */
function showLabels(flag: HTMLElement, view: View, x: number | null, end: number): void {
  const width = view.width.get();
  for (const label of flag.parentElement!.querySelectorAll<HTMLElement>('.tick')) {
    const place = view.xOf(Number(label.dataset['at']), end);
    const half = label.textContent.length > 5 ? halfLabelPx.long : halfLabelPx.short;
    const fits = place - half >= -edgePx && place + half <= width + edgePx;
    const isFree = x === null || Math.abs(place - x) >= hidesWithinPx;
    const visibility = fits && isFree ? '' : 'hidden';
    if (label.style.visibility !== visibility) label.style.visibility = visibility;
  }
}

/** The line that goes on through the lane. */
export function LaneCross({ view }: { view: View }) {
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => followCross(view, ref), [view]);
  return <div className="cross-line" ref={ref} aria-hidden="true" />;
}

/** Keeps a line at the crosshair; returns what stops it. */
export function followCross(view: View, line: { current: HTMLElement | null }): () => void {
  let shown: number | null | undefined;
  return view.onFrame((end) => {
    const x = view.crossX(end);
    if (!line.current || x === shown) return;
    shown = x;
    line.current.style.visibility = x === null ? 'hidden' : 'visible';
    if (x !== null) line.current.style.transform = `translateX(${x}px)`;
  });
}
