/** Reads and writes the rows of rollups. */

import type { Sql } from '../db/database.ts';
import { byteaArray, literal } from './chunks.ts';
import type { HostMinute } from './chunks.ts';
import { tiers } from './tiers.ts';
import type { RollupTier } from './tiers.ts';

export interface RollupRow {
  host: string;
  /** The beginning of what the row holds, milliseconds since 1970 UTC. */
  at: number;
  data: Buffer;
}

/** Puts rollups in the place of those that are there. */
export async function putRollups(sql: Sql, tier: RollupTier, rows: readonly RollupRow[]): Promise<void> {
  if (rows.length === 0) return;
  await sql`
    insert into ${sql(tiers[tier].table)} (host, at, data)
    select host, to_timestamp(at / 1000), data
    from unnest(
      ${literal(rows.map((row) => row.host))}::text::uuid[], ${literal(rows.map((row) => row.at))}::text::float8[],
      ${sql.array(
        rows.map((row) => row.data),
        byteaArray,
      )}::bytea[]
    ) as given (host, at, data)
    on conflict (host, at) do update set data = excluded.data`;
}

/** Those of the host-minutes of which something was rolled up. */
export async function findRolledUp(sql: Sql, minutes: readonly HostMinute[]): Promise<HostMinute[]> {
  return sql<HostMinute[]>`
    select given.host, given.minute
    from unnest(${literal(minutes.map((one) => one.host))}::text::uuid[], ${literal(minutes.map((one) => one.minute))}::text::float8[]) as given (host, minute)
    where exists (select from rollup_10s r where r.host = given.host and r.at = to_timestamp(given.minute / 1000))
      or exists (select from rollup_1m r where r.host = given.host and r.at = to_timestamp(given.minute / 1000))`;
}

/** The rows of a tier that begin within these hosts' ranges, ascending for each host. */
export async function findRollupRows(
  sql: Sql,
  tier: RollupTier,
  ranges: readonly { host: string; fromMs: number; toMs: number }[],
): Promise<RollupRow[]> {
  return sql<RollupRow[]>`
    select r.host, (extract(epoch from r.at) * 1000)::float8 as at, r.data
    from unnest(
      ${literal(ranges.map((range) => range.host))}::text::uuid[], ${literal(ranges.map((range) => range.fromMs))}::text::float8[],
      ${literal(ranges.map((range) => range.toMs))}::text::float8[]
    ) as given (host, since, until)
    join ${sql(tiers[tier].table)} r on r.host = given.host
      and r.at >= to_timestamp(given.since / 1000) and r.at < to_timestamp(given.until / 1000)
    order by r.host, r.at`;
}

/** The rows of a tier that begin at or after `fromMs` and before `toMs`, ascending, at most `limit`. */
export async function readRollupRows(
  sql: Sql,
  tier: RollupTier,
  { host, fromMs, toMs }: { host: string; fromMs: number; toMs: number },
  limit: number,
): Promise<Omit<RollupRow, 'host'>[]> {
  return sql<Omit<RollupRow, 'host'>[]>`
    select (extract(epoch from at) * 1000)::float8 as at, data
    from ${sql(tiers[tier].table)} r
    where host = ${host} and at >= to_timestamp(${fromMs}::float8 / 1000) and at < to_timestamp(${toMs}::float8 / 1000)
    order by r.at limit ${limit}`;
}

export async function deleteRollups(sql: Sql, tier: RollupTier, host: string): Promise<void> {
  await sql`delete from ${sql(tiers[tier].table)} where host = ${host}`;
}
