/** Reads what rooms lack, for many of them in one query. */

import type { Sql } from '../db/database.ts';
import type { StoredPublication } from './publications.ts';
import type { SampleRow } from './samples.ts';

/** One query gives so many rows of one room, and in all: whoever gets them asks again from where they end. */
const maxPerRoom = 300;
export const maxMissed = 3_000;

export interface MissedPublication extends StoredPublication {
  room: string;
}

/**
 * Publications of conversations above the offset given for each, ascending per room. Those committed less than `settledMs` ago are left
 * out, for they may be on their way.
 */
export async function publicationsBeyond(
  sql: Sql,
  known: readonly { room: string; offset: number }[],
  settledMs: number,
): Promise<MissedPublication[]> {
  return sql<MissedPublication[]>`
    select given.room, found."offset"::float8 as "offset", found.data, found.info
    from unnest(${known.map(({ room }) => room)}::uuid[], ${known.map(({ offset }) => offset)}::float8[]) as given (room, since)
    cross join lateral (
      select "offset", data, info from publication
      where publication.room = given.room and publication."offset" > given.since::bigint
        and publication.at <= now() - ${settledMs}::float8 * interval '1 ms'
      order by publication."offset" limit ${maxPerRoom}
    ) found
    order by given.room, found."offset" limit ${maxMissed}`;
}

/** What agents sent after the time (ms since 1970 UTC) given for each host and kind, ascending by time. */
export async function framesBeyond(sql: Sql, known: readonly Pick<SampleRow, 'host' | 'kind' | 'at'>[]): Promise<SampleRow[]> {
  return sql<SampleRow[]>`
    select given.host, given.kind, found.boot, found.seq::float8 as seq, convert_from(found.frame, 'UTF8') as frame,
      (extract(epoch from found.at) * 1000)::float8 as at
    from unnest(
      ${known.map(({ host }) => host)}::uuid[], ${known.map(({ kind }) => kind)}::text[], ${known.map(({ at }) => at)}::float8[]
    ) as given (host, kind, since)
    cross join lateral (
      select at, boot, seq, frame from sample_hot
      where sample_hot.host = given.host and sample_hot.kind = given.kind and sample_hot.at > to_timestamp(given.since / 1000)
      order by sample_hot.at limit ${maxPerRoom}
    ) found
    order by found.at, found.seq limit ${maxMissed}`;
}

/** Of each host that sent a sample after the time given (ms since 1970 UTC), the newest. */
export async function newestSamplesBeyond(
  sql: Sql,
  known: readonly { host: string; at: number }[],
): Promise<{ host: string; frame: string }[]> {
  return sql<{ host: string; frame: string }[]>`
    select given.host, convert_from(found.frame, 'UTF8') as frame
    from unnest(${known.map(({ host }) => host)}::uuid[], ${known.map(({ at }) => at)}::float8[]) as given (host, since)
    cross join lateral (
      select frame from sample_hot
      where sample_hot.host = given.host and sample_hot.kind = 'sample' and sample_hot.at > to_timestamp(given.since / 1000)
      order by sample_hot.at desc limit 1
    ) found`;
}
