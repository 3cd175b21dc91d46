/** Places things by time inside a layer that moves with the charts. */

import { type RefObject, useEffect, useRef, useState } from 'react';
import { flushSync } from 'react-dom';
import { Mover } from './mover.ts';
import type { View } from './view.ts';

export interface Anchor {
  /** The moment for which places are computed; the layer is shifted by what has passed since. */
  end: number;
  windowMs: number;
  width: number;
  ref: RefObject<HTMLDivElement | null>;
  x(at: number): number;
}

/** How long places are kept before they are computed again. */
export const anchorKeptMs = (windowMs: number): number => Math.min(30_000, windowMs / 10);

/** Draws the component again only when the window changes or the anchor got old; in between the layer is shifted. */
export function useAnchor(view: View): Anchor {
  const ref = useRef<HTMLDivElement | null>(null);
  const [place, setPlace] = useState(() => ({ end: view.end(), windowMs: view.windowMs.get(), width: view.width.get() }));
  useEffect(() => {
    let drawn = place;
    const mover = new Mover(view, () => anchorKeptMs(drawn.windowMs) + 2_000);
    const leave = view.addLayer({
      isDue: (end) =>
        drawn.windowMs !== view.windowMs.get() ||
        drawn.width !== view.width.get() ||
        Math.abs(end - drawn.end) > anchorKeptMs(drawn.windowMs),
      draw: (end) => {
        drawn = { end, windowMs: view.windowMs.get(), width: view.width.get() };
        // Places and shift have to change in the same frame.
        flushSync(() => setPlace(drawn));
      },
      place: (end) => mover.place(ref.current, drawn.end, end),
    });
    return () => {
      leave();
      mover.close();
    };
    // The first place only seeds the layer.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [view]);
  const pxPerMs = place.width / place.windowMs;
  return { ...place, ref, x: (at) => place.width - (place.end - at) * pxPerMs };
}
