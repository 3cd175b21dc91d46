/** Chooses the buckets of a chart with the tier they are read from. */

import type { Kept } from '../data/retention.ts';
import { hourMs, minuteMs, tiers } from '../data/tiers.ts';
import type { Tier } from '../data/tiers.ts';

export interface GridWish {
  /** Milliseconds since 1970 UTC; `fromMs` inclusive, `toMs` exclusive and after it. */
  fromMs: number;
  toMs: number;
  /** At most so many buckets. */
  points: number;
  nowMs: number;
  kept: Kept;
}

/** Bucket i is startMs + i × stepMs up to, not including, the next one. */
export interface Grid {
  tier: Tier;
  stepMs: number;
  /** A multiple of the step, but for a grid of one bucket. */
  startMs: number;
  count: number;
}

const secondMs = 1_000;
const dayMs = 24 * hourMs;
/** What people read easily, and what panning a chart does not move. */
const steps: readonly number[] = [
  ...[1, 2, 5, 10, 20, 30].map((seconds) => seconds * secondMs),
  ...[1, 2, 5, 10, 20, 30].map((minutes) => minutes * minuteMs),
  ...[1, 2, 3, 6, 12].map((hours) => hours * hourMs),
  // Up to the greatest range that a time can span.
  ...Array.from({ length: 9 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power * dayMs)).flat(),
];

/** Reading twice as many rows took a chart some 60 ms of CPU; a coarser tier has fewer. A week of minutes takes 120, but hours would be too few. */
const mostRows: Readonly<Record<Tier, number>> = { raw: 180, '10s': 500, '1m': 11_000, '1h': Infinity };
/** What was asked a moment ago as "since the retention began" is still there. */
const slackMs = minuteMs;
const coarsestFirst: readonly Tier[] = ['1h', '1m', '10s', 'raw'];

/** The finest step that gives at most `points` buckets, from the coarsest tier that has it and reaches back far enough. */
export function chooseGrid(wish: GridWish): Grid {
  for (const stepMs of steps) {
    const grid = gridOf(wish, stepMs);
    const tier = grid.count <= wish.points && coarsestFirst.find((each) => serves(each, stepMs, wish));
    if (tier) return { ...grid, tier };
  }
  // A range over the border of two buckets of any size, and only one is wanted.
  const tier = coarsestFirst.findLast((each) => isFit(each, wish)) ?? '1h';
  const width = Math.max(tiers[tier].stepMs, secondMs);
  const startMs = Math.floor(wish.fromMs / width) * width;
  return { tier, startMs, stepMs: Math.ceil((wish.toMs - startMs) / width) * width, count: 1 };
}

function gridOf({ fromMs, toMs }: GridWish, stepMs: number): Omit<Grid, 'tier'> {
  const startMs = Math.floor(fromMs / stepMs) * stepMs;
  return { startMs, stepMs, count: Math.ceil((toMs - startMs) / stepMs) };
}

function serves(tier: Tier, stepMs: number, wish: GridWish): boolean {
  const width = tiers[tier].stepMs;
  if (width > 0 && stepMs % width > 0) return false;
  return isFit(tier, wish);
}

/** The coarsest tier has to do where no other does. */
const isFit = (tier: Tier, wish: GridWish): boolean => tier === '1h' || (reachesBack(tier, wish) && rowsOf(tier, wish) <= mostRows[tier]);

const reachesBack = (tier: Tier, { fromMs, nowMs, kept }: GridWish): boolean => nowMs - fromMs <= kept[tier] + slackMs;
const rowsOf = (tier: Tier, { fromMs, toMs, nowMs }: GridWish): number => (Math.min(toMs, nowMs) - fromMs) / tiers[tier].rowMs;
