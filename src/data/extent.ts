/** Tells what is stored of a host's samples, without reading them. */

import type { Sql } from '../db/database.ts';

/** `firstMs` and `lastMs` are exact to the minute; all of 0 samples mean nothing. */
export interface Extent {
  samples: number;
  firstMs: number;
  lastMs: number;
}

/** Of the minutes that overlap `fromMs` … `toMs`, milliseconds since 1970 UTC. */
export async function readExtent(sql: Sql, host: string, fromMs: number, toMs: number): Promise<Extent> {
  const [row] = await sql<[{ samples: number; firstMs: number | null; lastMs: number | null }]>`
    with given as (select to_timestamp(${fromMs}::float8 / 1000) as starts, to_timestamp(${toMs}::float8 / 1000) as ends),
    sealed as (
      select minute, n from sample_chunk, given
      where host = ${host} and kind = 'sample' and minute >= date_trunc('minute', starts) and minute < ends),
    hot as (
      select at from sample_hot, given where host = ${host} and kind = 'sample' and at >= starts and at < ends
        and date_trunc('minute', at) not in (select minute from sealed)),
    stored as (select minute as first, minute + interval '59.999 s' as last, n from sealed union all select at, at, 1 from hot)
    select coalesce(sum(n), 0)::float8 as samples, (extract(epoch from min(first)) * 1000)::float8 as "firstMs",
      (extract(epoch from max(last)) * 1000)::float8 as "lastMs"
    from stored`;
  return {
    samples: row.samples,
    firstMs: Math.max(fromMs, row.firstMs ?? fromMs),
    lastMs: Math.min(toMs, row.lastMs ?? toMs),
  };
}
