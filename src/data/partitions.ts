/** Keeps the tables that only grow within their retention. */

import type { Sql } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import { trimPublications } from './publications.ts';

/** An hour: a day of raw samples is 25 partitions, few enough for the planner, small enough to drop in a blink. */
export const partitionMs = 3_600_000;
/** Made ahead, so that a database without a hub for a while, or a slow lock, never leaves a sample without its partition. */
const aheadMs = 3 * partitionMs;
/** Publications of conversations live on as messages; as positions a day of them is plenty. */
const publicationsMs = 24 * partitionMs;

/** Makes the partition of the hour that starts at `startMs`; nothing happens where it is there already. */
export async function makePartition(sql: Sql, startMs: number): Promise<void> {
  const time = (ms: number): string => new Date(ms).toISOString();
  await sql`select make_hot_partition(${time(startMs)}::timestamptz, ${time(startMs + partitionMs)}::timestamptz)`;
}

/** Drops the partitions that end at or before `beforeMs`. */
export async function dropPartitions(sql: Sql, beforeMs: number): Promise<void> {
  await sql`select drop_hot_partitions(${new Date(beforeMs).toISOString()}::timestamptz)`;
}

export interface PartitionOptions {
  sql: Sql;
  clock: Clock;
  retentionRawMs: number;
  everyMs?: number;
  /** Told when a round failed; the next one makes up for it. */
  failed(error: unknown): void;
}

export class PartitionKeeper {
  readonly #options: Required<PartitionOptions>;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;

  constructor(options: PartitionOptions) {
    this.#options = { ...options, everyMs: options.everyMs ?? 10 * 60_000 };
  }

  /** Resolves after the first round, even a failed one: the default partition takes what has no other. */
  async start(): Promise<void> {
    await this.keep().catch(this.#options.failed);
    this.#timer = setInterval(() => {
      this.#round = this.keep().catch(this.#options.failed);
    }, this.#options.everyMs).unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#round;
  }

  /** One round. Partitions behind now are made too, for what agents send late. */
  async keep(): Promise<void> {
    const { sql, clock, retentionRawMs } = this.#options;
    const nowMs = clock.now();
    const hour = (ms: number): number => Math.floor(ms / partitionMs) * partitionMs;
    // From the farthest ahead: should a round be cut short, what is needed first is there.
    for (let startMs = hour(nowMs + aheadMs); startMs >= hour(nowMs - retentionRawMs); startMs -= partitionMs) {
      // oxlint-disable-next-line no-await-in-loop -- each takes a lock on the table; all at once would only wait for each other
      await makePartition(sql, startMs);
    }
    await dropPartitions(sql, nowMs - retentionRawMs);
    await trimPublications(sql, nowMs - publicationsMs);
  }
}
