/** Reads which minutes and hours of a host are not, or not wholly, in its rollups. */

import type { Sql } from '../db/database.ts';

/** Beginnings in milliseconds since 1970 UTC. */
export interface Unsealed {
  /** Minutes from here on have no rollups. */
  fromMs: number;
  minutes: number[];
  hours: number[];
}

/** For the range from `fromMs`, inclusive, to `toMs`, exclusive. */
export async function readUnsealed(sql: Sql, host: string, fromMs: number, toMs: number): Promise<Unsealed> {
  const [row] = await sql<[Unsealed]>`
    with given as (select to_timestamp(${fromMs}::float8 / 1000) as starts, to_timestamp(${toMs}::float8 / 1000) as ends)
    select
      (select (extract(epoch from listed_until) * 1000)::float8 from seal_state) as "fromMs",
      array(
        select distinct (extract(epoch from minute) * 1000)::float8 from seal_work
        where host = ${host} and minute > given.starts - interval '1 minute' and minute < given.ends) as minutes,
      array(
        select (extract(epoch from hour) * 1000)::float8 from hour_work
        where host = ${host} and hour > given.starts - interval '1 hour' and hour < given.ends) as hours
    from given`;
  return row;
}
