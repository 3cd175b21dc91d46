/** Keeps the tables that only grow within their retention. */

import type { Sql } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import { trimPublications } from './publications.ts';
import type { Kept } from './retention.ts';
import { hourMs, minuteMs, tiers } from './tiers.ts';
import type { Tier } from './tiers.ts';

/** Of one-second rows: they go as soon as they are in chunks, so a partition is short, and dropped in a blink. */
export const partitionMs = 10 * minuteMs;
/** Rows stay so long after their minute, so that recovery and the newest charts never read chunks. */
export const hotKeptMs = 20 * minuteMs;
/** Made ahead, so that a slow lock, or a while without a hub, leaves few samples without their partition. */
const aheadMs = hourMs;
/** Publications of conversations live on as messages; as positions a day of them is plenty. */
const publicationsMs = 24 * hourMs;

const time = (ms: number): string => new Date(ms).toISOString();

/** Makes the partition of one-second rows that starts at `startMs`; nothing happens where it is there already. */
export async function makePartition(sql: Sql, startMs: number): Promise<void> {
  await sql`select make_hot_partition(${time(startMs)}::timestamptz, ${time(startMs + partitionMs)}::timestamptz)`;
}

export async function makeTierPartition(sql: Sql, tier: Tier, startMs: number): Promise<void> {
  const { table, partitionMs: lengthMs } = tiers[tier];
  await sql`select make_partition(${table}, ${time(startMs)}::timestamptz, ${time(startMs + lengthMs)}::timestamptz)`;
}

/** Drops the partitions of a tier that end at or before `beforeMs`. */
export async function dropTierPartitions(sql: Sql, tier: Tier, beforeMs: number): Promise<void> {
  await sql`select drop_partitions(${tiers[tier].table}, ${time(beforeMs)}::timestamptz)`;
}

/** Drops the oldest partition of one-second rows that ends at or before `beforeMs` and is in chunks; false where there is none. */
export async function dropSealedPartition(sql: Sql, beforeMs: number): Promise<boolean> {
  const [row] = await sql<[{ dropped: boolean }]>`select drop_sealed_partition(${time(beforeMs)}::timestamptz) as dropped`;
  return row.dropped;
}

/** Drops partitions of one-second rows that end at or before `beforeMs`, sealed or not. */
export async function dropHotPartitions(sql: Sql, beforeMs: number): Promise<void> {
  await sql`select drop_hot_partitions(${time(beforeMs)}::timestamptz)`;
}

/** Bytes on disk by tier, `hot` for one-second rows that wait to be sealed. */
export async function storageBytes(sql: Sql): Promise<Record<Tier | 'hot', number>> {
  const rows = await sql<{ tier: Tier | 'hot'; bytes: number }[]>`select tier, bytes from storage_bytes()`;
  return Object.fromEntries(rows.map(({ tier, bytes }) => [tier, bytes])) as Record<Tier | 'hot', number>;
}

export interface PartitionOptions {
  sql: Sql;
  clock: Clock;
  /** Asked at the start of each round. Each tier is kept up to one of its partitions longer. */
  retention(): Promise<Kept>;
  everyMs?: number;
  /** Told of each step of a round that failed; the next round makes up for it. */
  failed(error: unknown): void;
  /** Told after each round. */
  measured?(bytes: Record<Tier | 'hot', number>): void;
}

export class PartitionKeeper {
  readonly #options: PartitionOptions & { everyMs: number };
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;

  constructor(options: PartitionOptions) {
    this.#options = { ...options, everyMs: options.everyMs ?? 5 * minuteMs };
  }

  /** Resolves after the first round, even a failed one: the default partitions take what has no other. */
  async start(): Promise<void> {
    await this.keep();
    this.#timer = setInterval(() => {
      // A round that waits for locks is not overtaken by the next.
      this.hurry();
    }, this.#options.everyMs).unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#round;
  }

  /** A round at once, after the one that may be under way. */
  hurry(): void {
    this.#round = (this.#round ?? Promise.resolve()).then(() => this.keep());
  }

  /** One round. A step that fails, as where a long reader holds a lock, keeps no other from being done. */
  async keep(): Promise<void> {
    const { sql, clock, failed, measured } = this.#options;
    const retention = await this.#readRetention();
    const nowMs = clock.now();
    const kept = retention ? (Object.entries(retention) as [Tier, number][]) : [];
    // As late as samples may come; while the retention is not known, partitions are made for the hours around now.
    const rawMs = retention?.raw ?? hourMs;
    const steps: (() => Promise<unknown>)[] = [];
    // From the farthest ahead: should a round be cut short, what is needed first is there.
    for (const startMs of starts(nowMs - hotKeptMs, nowMs + aheadMs, partitionMs)) steps.push(() => makePartition(sql, startMs));
    for (const tier of Object.keys(tiers) as Tier[]) {
      // Behind now too: as late as samples may come, so late are chunks and rollups written.
      const lengthMs = tiers[tier].partitionMs;
      for (const startMs of starts(nowMs - rawMs, nowMs + Math.min(lengthMs, 24 * hourMs), lengthMs)) {
        steps.push(() => makeTierPartition(sql, tier, startMs));
      }
    }
    for (const [tier, ms] of kept) if (Number.isFinite(ms)) steps.push(() => dropTierPartitions(sql, tier, nowMs - ms));
    // What could not be sealed within the retention of raw samples would not be kept as a chunk either.
    if (retention) steps.push(() => dropHotPartitions(sql, nowMs - rawMs));
    steps.push(async () => {
      // oxlint-disable-next-line no-await-in-loop -- one at a time, so that writers wait for one lock at most
      while (await dropSealedPartition(sql, nowMs - hotKeptMs));
    });
    steps.push(() => trimPublications(sql, nowMs - publicationsMs));
    if (measured) steps.push(async () => measured(await storageBytes(sql)));
    // oxlint-disable-next-line no-await-in-loop -- each takes a lock on its table; all at once would only wait for each other
    for (const step of steps) await step().catch(failed);
  }

  async #readRetention(): Promise<Kept | undefined> {
    try {
      return await this.#options.retention();
    } catch (error) {
      this.#options.failed(error);
      return undefined;
    }
  }
}

/** Beginnings of partitions that cover the time between, the last first. */
function starts(fromMs: number, toMs: number, lengthMs: number): number[] {
  const found: number[] = [];
  for (let startMs = Math.floor(toMs / lengthMs) * lengthMs; startMs > fromMs - lengthMs; startMs -= lengthMs) found.push(startMs);
  return found;
}
