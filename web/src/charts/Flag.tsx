/** The crosshair below the strips: its line in the lane, its time on the axis; both moved without React. */

import { useEffect, useRef } from 'react';
import { clockSeconds } from '../lib/format.ts';
import type { View } from './view.ts';

const halfFlagPx = 31;
/** Labels nearer to the flag than this would be cut by it. */
const hidesWithinPx = 48;

export function Flag({ view }: { view: View }) {
  const ref = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    let moved: number | null | undefined;
    return view.onFrame((end) => {
      const flag = ref.current;
      if (!flag) return;
      const x = view.crossX(end);
      if (x !== null) {
        const text = clockSeconds(view.timeAt(x, end));
        if (flag.textContent !== text) flag.textContent = text;
      }
      if (x !== null || moved !== null) hideLabels(flag, view, x, end);
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

function hideLabels(flag: HTMLElement, view: View, x: number | null, end: number): void {
  for (const label of flag.parentElement!.querySelectorAll<HTMLElement>('.tick')) {
    const isNear = x !== null && Math.abs(view.xOf(Number(label.dataset['at']), end) - x) < hidesWithinPx;
    const visibility = isNear ? 'hidden' : '';
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
