/** Sums up for people how long viewers were without their rooms, by what made it long. */

import { percentile } from './scale.ts';
import { outageMs, type Break } from './viewer.ts';

/** Figures in ms: of the whole, of the SDK's own waiting, of connecting, of joining; and how often which attempt failed. */
export function describeGaps(breaks: readonly Break[]): object {
  const failures = breaks.flatMap(({ failed }) => failed);
  const slowest = breaks.toSorted((a, b) => outageMs(b) - outageMs(a)).slice(0, 3);
  return {
    breaks: breaks.length,
    whole: spread(breaks.map(outageMs)),
    waited: spread(breaks.map(({ waitedMs }) => waitedMs)),
    connect: spread(breaks.map(({ connectMs }) => connectMs)),
    join: spread(breaks.map(({ joinMs }) => joinMs)),
    codes: countOf(breaks.map(({ code }) => String(code))),
    failedAttempts: countOf(failures),
    slowest: slowest.map(({ failed, ...times }) => [...Object.values(times).map(Math.round), ...failed]),
  };
}

const spread = (values: readonly number[]): Record<string, number> =>
  Object.fromEntries(
    Object.entries({ median: 0.5, p90: 0.9, p99: 0.99, most: 1 }).map(([name, share]) => [name, Math.round(percentile(values, share))]),
  );

const countOf = (names: readonly string[]): Record<string, number> =>
  Object.fromEntries(
    Map.groupBy(names, (name) => name)
      .entries()
      .map(([name, all]) => [name, all.length]),
  );
