/** Tells what is stored of a host's publications, without reading them. */

import type { Sql } from '../db/database.ts';
import type { SampleRow } from './samples.ts';

/** `firstMs` and `lastMs` are exact to the minute; where the count is 0 they mean nothing. */
export interface Extent {
  count: number;
  firstMs: number;
  lastMs: number;
}

/** Of the minutes that overlap `fromMs` … `toMs`, milliseconds since 1970 UTC. */
export async function readExtent(sql: Sql, kind: SampleRow['kind'], host: string, fromMs: number, toMs: number): Promise<Extent> {
  const [row] = await sql<[{ count: number; firstMs: number | null; lastMs: number | null }]>`
    with given as (select to_timestamp(${fromMs}::float8 / 1000) as starts, to_timestamp(${toMs}::float8 / 1000) as ends),
    sealed as (
      select minute, n from sample_chunk, given
      where host = ${host} and kind = ${kind} and minute >= date_trunc('minute', starts) and minute < ends),
    hot as (
      select at from sample_hot, given where host = ${host} and kind = ${kind} and at >= starts and at < ends
        and date_trunc('minute', at) not in (select minute from sealed)),
    stored as (select minute as first, minute + interval '59.999 s' as last, n from sealed union all select at, at, 1 from hot)
    select coalesce(sum(n), 0)::float8 as count, (extract(epoch from min(first)) * 1000)::float8 as "firstMs",
      (extract(epoch from max(last)) * 1000)::float8 as "lastMs"
    from stored`;
  return {
    count: row.count,
    firstMs: Math.max(fromMs, row.firstMs ?? fromMs),
    lastMs: Math.min(toMs, row.lastMs ?? toMs),
  };
}
