/** Keeps only the rows in sight of a long list in the page. */

import { type RefObject, useEffect, useMemo, useRef, useState } from 'react';

export interface Slice {
  list: RefObject<HTMLDivElement | null>;
  /** Rows from `first` on, `end` excluded. */
  first: number;
  end: number;
  /** Pixels of the rows left out. */
  above: number;
  below: number;
  onScroll: () => void;
}

/** Pixels drawn beyond the edges, so that scrolling shows no blank rows. */
const extraPx = 300;

/** @param heights pixels of each row, the same array while they are the same */
export function useSlice(heights: readonly number[]): Slice {
  const list = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(900);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => entry && setHeight(entry.contentRect.height));
    observer.observe(list.current!);
    return () => observer.disconnect();
  }, []);
  const slice = useMemo(() => sliceOf(heights, top - extraPx, top + height + extraPx), [heights, top, height]);
  return { list, ...slice, onScroll: () => setTop(list.current?.scrollTop ?? 0) };
}

/** Rows that touch the pixels from `from` to `to`. */
export function sliceOf(heights: readonly number[], from: number, to: number): Pick<Slice, 'first' | 'end' | 'above' | 'below'> {
  let first = 0;
  let above = 0;
  while (first < heights.length && above + heights[first]! <= from) above += heights[first++]!;
  let end = first;
  let bottom = above;
  while (end < heights.length && bottom < to) bottom += heights[end++]!;
  let below = 0;
  for (let row = end; row < heights.length; row += 1) below += heights[row]!;
  return { first, end, above, below };
}
