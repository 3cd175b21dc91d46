/** Cuts pages out of publications that stand in memory. */

import type { Range, StreamEntry } from '../hub/stream.ts';

/** The longest part at the end without a hole; `entries` ascend by offset. */
export function newestRun(entries: StreamEntry[]): StreamEntry[] {
  let first = entries.length - 1;
  while (first > 0 && entries[first - 1]!.offset === entries[first]!.offset - 1) first--;
  return first <= 0 ? entries : entries.slice(first);
}

/** The entries of a range, as `Stream.read` has to give them; `run` ascends without a hole. */
export function pick(run: readonly StreamEntry[], range: Range): StreamEntry[] {
  const { since, limit, reverse = false } = range;
  if (reverse) {
    const end = since === undefined ? run.length : run.findLastIndex((entry) => entry.offset < since) + 1;
    return run.slice(Math.max(0, end - limit), end).reverse();
  }
  const start = since === undefined ? 0 : run.findIndex((entry) => entry.offset > since);
  return start < 0 ? [] : run.slice(start, start + limit);
}
