/** How long each tier of history is kept: as configured, or shorter where an admin said so. */

import type { Config } from '../config.ts';
import type { Sql } from '../db/database.ts';
import type { Tier } from './tiers.ts';

/** Milliseconds by tier. */
export type Kept = Readonly<Record<Tier, number>>;
/** Null takes a shortening back. */
export type KeptChanges = Readonly<Partial<Record<Tier, number | null>>>;

/** What the environment says, by tier. */
export const configuredKept = ({ rawMs, tenSecondsMs, minuteMs, hourMs }: Config['retention']): Kept => ({
  raw: rawMs,
  '10s': tenSecondsMs,
  '1m': minuteMs,
  '1h': hourMs,
});

/** What all replicas agree on: each reads it anew once per round of the partition keeper. */
export class Retention {
  readonly #sql: Sql;
  readonly configured: Kept;
  #current: Kept;

  constructor(sql: Sql, configured: Kept) {
    this.#sql = sql;
    this.configured = configured;
    this.#current = configured;
  }

  /** As last read. */
  get current(): Kept {
    return this.#current;
  }

  async refresh(): Promise<Kept> {
    const sql = this.#sql;
    const rows = await sql<{ tier: Tier; keptMs: number }[]>`select tier, kept_ms as "keptMs" from retention`;
    const kept = { ...this.configured };
    for (const { tier, keptMs } of rows) kept[tier] = Math.min(keptMs, this.configured[tier]);
    return (this.#current = kept);
  }

  async change(changes: KeptChanges): Promise<Kept> {
    const sql = this.#sql;
    for (const [tier, keptMs] of Object.entries(changes)) {
      // oxlint-disable-next-line no-await-in-loop -- four tiers at most
      await (keptMs === null
        ? sql`delete from retention where tier = ${tier}`
        : sql`insert into retention (tier, kept_ms) values (${tier}, ${keptMs}) on conflict (tier) do update set kept_ms = excluded.kept_ms`);
    }
    return this.refresh();
  }
}
