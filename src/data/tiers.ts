/** The tiers of history: their tables, buckets and partitions. */

export type RollupTier = '10s' | '1m' | '1h';
export type Tier = 'raw' | RollupTier;

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

export interface TierShape {
  table: 'sample_chunk' | 'rollup_10s' | 'rollup_1m' | 'rollup_1h';
  /** Length of a bucket; of raw samples none. */
  stepMs: number;
  /** What one row holds. */
  rowMs: number;
  /** A tier is kept up to one partition longer than asked for; a thousand partitions would make every plan slow. */
  partitionMs: number;
}

export const tiers: Readonly<Record<Tier, TierShape>> = {
  raw: { table: 'sample_chunk', stepMs: 0, rowMs: minuteMs, partitionMs: 6 * hourMs },
  '10s': { table: 'rollup_10s', stepMs: 10_000, rowMs: minuteMs, partitionMs: dayMs },
  '1m': { table: 'rollup_1m', stepMs: minuteMs, rowMs: minuteMs, partitionMs: 7 * dayMs },
  '1h': { table: 'rollup_1h', stepMs: hourMs, rowMs: hourMs, partitionMs: 91 * dayMs },
};
