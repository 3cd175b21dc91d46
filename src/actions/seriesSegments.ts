/** Cuts a range of time into stretches that are each read from one tier. */

import { hourMs, minuteMs } from '../data/tiers.ts';
import type { Tier } from '../data/tiers.ts';
import type { Unsealed } from '../data/unsealed.ts';

export interface Segment {
  tier: Tier;
  fromMs: number;
  toMs: number;
}

/**
 * Stretches that follow each other without a hole or an overlap. What a tier lacks is taken from the next finer one that has it:
 * minutes from raw samples, hours from minutes.
 */
export function segmentsOf(tier: Tier, fromMs: number, toMs: number, unsealed: Unsealed): Segment[] {
  if (toMs <= fromMs) return [];
  if (tier === 'raw') return [{ tier, fromMs, toMs }];
  const openMinutes = runsOf(unsealed.minutes, minuteMs, unsealed.fromMs);
  if (tier !== '1h') return cover(tier, 'raw', openMinutes, fromMs, toMs);
  const floor = (time: number): number => Math.floor(time / hourMs) * hourMs;
  const openHours = runsOf([...unsealed.hours, ...unsealed.minutes.map(floor)], hourMs, floor(unsealed.fromMs));
  return cover('1h', '1m', openHours, fromMs, toMs).flatMap((segment) =>
    segment.tier === '1h' ? [segment] : cover('1m', 'raw', openMinutes, segment.fromMs, segment.toMs),
  );
}

interface Run {
  fromMs: number;
  toMs: number;
}

/** Neighbours joined, ascending; the last run has no end. */
function runsOf(starts: readonly number[], lengthMs: number, openFromMs: number): Run[] {
  const runs: Run[] = [];
  for (const start of [...new Set(starts)].filter((each) => each < openFromMs).sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last?.toMs === start) last.toMs += lengthMs;
    else runs.push({ fromMs: start, toMs: start + lengthMs });
  }
  return [...runs, { fromMs: openFromMs, toMs: Infinity }];
}

/** `inside` for the runs, `outside` for what is between them. */
function cover(outside: Tier, inside: Tier, runs: readonly Run[], fromMs: number, toMs: number): Segment[] {
  const segments: Segment[] = [];
  const add = (tier: Tier, start: number, end: number): void => {
    const last = segments.at(-1);
    if (end <= start) return;
    if (last?.tier === tier && last.toMs === start) last.toMs = end;
    else segments.push({ tier, fromMs: start, toMs: end });
  };
  let atMs = fromMs;
  for (const run of runs) {
    add(outside, atMs, Math.min(run.fromMs, toMs));
    atMs = Math.max(atMs, Math.min(run.fromMs, toMs));
    add(inside, atMs, Math.min(run.toMs, toMs));
    atMs = Math.max(atMs, Math.min(run.toMs, toMs));
  }
  return segments;
}
