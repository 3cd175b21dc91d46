/** Reads a host's metrics over any range of time as the columns of a chart. */

import type { Clock } from '../lib/clock.ts';
import { fits } from '../lib/glob.ts';
import { readRawColumns, readRollups } from '../data/history.ts';
import type { Kept } from '../data/retention.ts';
import type { HistoryParts } from '../data/history.ts';
import { readUnsealed } from '../data/unsealed.ts';
import { ReadError } from '../db/reader.ts';
import type { Reader, ReadFault } from '../db/reader.ts';
import { AppError } from '../errors.ts';
import { chooseGrid } from './seriesGrid.ts';
import type { Grid } from './seriesGrid.ts';
import { segmentsOf } from './seriesSegments.ts';
import { SeriesTable, TableFull } from './seriesTable.ts';

export interface SeriesParts {
  reader: Reader;
  names: HistoryParts['names'];
  clock: Clock;
  /** How long each tier is kept now. */
  kept(): Kept | Promise<Kept>;
  /** Told of what could not be read; it is a gap in the answer. */
  corrupt?: HistoryParts['corrupt'];
}

export interface SeriesWish {
  host: string;
  /** Names and patterns with `*`, separated by commas. */
  metrics: string;
  /** Milliseconds since 1970 UTC, `to` exclusive. */
  from: number;
  to: number;
  points: number;
}

export interface SeriesRead {
  grid: Grid;
  table: SeriesTable;
}

/** Of one answer. Of all series together there are so many buckets that it stays below some 15 MB. */
export const seriesLimits = { patterns: 200, series: 200, buckets: 400_000 };
/** How far beyond now samples may be stamped, with some to spare. */
const aheadMs = 10 * 60_000;

/** Throws AppError. `left` ends the reading at once. */
export async function readSeries(parts: SeriesParts, wish: SeriesWish, left: AbortSignal): Promise<SeriesRead> {
  const wanted = wantedBy(wish.metrics);
  if (wish.to <= wish.from) throw new AppError('invalid', 'to: has to be after from.');
  const nowMs = parts.clock.now();
  const kept = await parts.kept();
  const grid = chooseGrid({ fromMs: wish.from, toMs: wish.to, points: wish.points, nowMs, kept });
  const table = new SeriesTable(grid, seriesLimits);
  // Nothing is older than the oldest tier, or younger than now; asking for it would only take time.
  const fromMs = Math.max(
    grid.startMs,
    Math.min(nowMs, Math.floor((nowMs - 2 * Math.max(...Object.values(kept))) / 3_600_000) * 3_600_000),
  );
  const toMs = Math.min(grid.startMs + grid.stepMs * grid.count, nowMs + aheadMs);
  if (toMs > fromMs) await explained(() => fill(parts, { host: wish.host, grid, table, wanted, fromMs, toMs }, left));
  return { grid, table };
}

interface Filling {
  host: string;
  grid: Grid;
  table: SeriesTable;
  wanted: (name: string) => boolean;
  fromMs: number;
  toMs: number;
}

async function fill({ reader, names, corrupt }: SeriesParts, filling: Filling, left: AbortSignal): Promise<void> {
  const { host, grid, table, wanted, fromMs, toMs } = filling;
  await reader.read(left, async ({ sql, breathe }) => {
    const history = { sql, names, corrupt };
    const unsealed = grid.tier === 'raw' ? noUnsealed : await readUnsealed(sql, host, fromMs, toMs);
    for (const segment of segmentsOf(grid.tier, fromMs, toMs, unsealed)) {
      const range = { host, fromMs: segment.fromMs, toMs: segment.toMs, wanted };
      if (segment.tier === 'raw') {
        for await (const block of readRawColumns(history, range)) {
          table.addSamples(block, segment.fromMs, segment.toMs);
          await breathe();
        }
      } else {
        for await (const block of readRollups(history, segment.tier, range)) {
          table.addBuckets(block, segment.fromMs, segment.toMs);
          await breathe();
        }
      }
    }
  });
}

const readFaults: Record<ReadFault, string> = {
  busy: 'Too many charts are being read; ask again in a moment.',
  late: 'from, to: reading this took too long; ask for a shorter range, or again in a moment.',
  left: 'The one who asked has left.',
  closed: 'The hub stops; ask again in a moment.',
};

const noUnsealed = { fromMs: Infinity, minutes: [], hours: [] };

/** Whether a metric was asked for; remembers, because names repeat with every row. Throws AppError. */
function wantedBy(metrics: string): (name: string) => boolean {
  const patterns = [...new Set(metrics.split(',').map((pattern) => pattern.trim()))].filter((pattern) => pattern !== '');
  if (patterns.length === 0) throw new AppError('invalid', 'metrics: name at least one metric or pattern.');
  if (patterns.length > seriesLimits.patterns) {
    throw new AppError(
      'invalid',
      `metrics: ${patterns.length} names and patterns are too many; send at most ${seriesLimits.patterns}, or patterns such as net.*.receive.`,
    );
  }
  const exact = new Set(patterns.filter((pattern) => !pattern.includes('*')));
  const open = patterns.filter((pattern) => pattern.includes('*'));
  const known = new Map<string, boolean>();
  return (name) => {
    let is = known.get(name);
    if (is === undefined) {
      is = exact.has(name) || open.some((pattern) => fits(pattern, name));
      if (known.size < 20_000) known.set(name, is);
    }
    return is;
  };
}

async function explained(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof TableFull && error.what === 'series') {
      throw new AppError('invalid', `metrics: more than ${seriesLimits.series} metrics match in this range; ask for fewer.`, {
        cause: error,
      });
    }
    if (error instanceof TableFull) {
      throw new AppError(
        'invalid',
        `points, metrics: more than ${seriesLimits.buckets} buckets in all; ask for fewer points or fewer metrics.`,
        { cause: error },
      );
    }
    if (error instanceof ReadError) throw new AppError('busy', readFaults[error.fault], { cause: error });
    throw error;
  }
}
