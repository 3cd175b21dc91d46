/** Reads and writes the one-second samples of hosts. */

import type { Sql } from '../db/database.ts';

/** One publication of an agent as it is stored; `frame` is the publication's data as JSON text in one line. */
export interface SampleRow {
  host: string;
  kind: 'sample' | 'processes';
  /** Milliseconds since 1970 UTC. */
  at: number;
  boot: string;
  seq: number;
  frame: string;
}

/** PostgreSQL's array literal of values that need no quoting (ids, numbers, kinds): a tenth of the driver's own cost. */
const array = (rows: readonly SampleRow[], field: 'host' | 'kind' | 'at' | 'boot' | 'seq'): string => {
  let text = '{';
  for (const row of rows) text += (text.length > 1 ? ',' : '') + row[field];
  return text + '}';
};

/**
 * Inserts all rows in one statement that commits by itself; rows whose (host, kind, at) is stored already are left alone.
 * Returns how many were new; those of closed minutes are noted for being merged into their chunks. JSON in one line has no newline, so
 * the frames travel as one text without any escaping.
 */
export async function insertSamples(sql: Sql, rows: readonly SampleRow[]): Promise<number> {
  const [result] = await sql<[{ added: number }]>`
    with added as (
      insert into sample_hot (host, kind, at, boot, seq, frame)
      select host, kind, to_timestamp(at / 1000), boot, seq, convert_to(frame, 'UTF8')
      from unnest(
        ${array(rows, 'host')}::uuid[], ${array(rows, 'kind')}::text[], ${array(rows, 'at')}::float8[],
        ${array(rows, 'boot')}::uuid[], ${array(rows, 'seq')}::bigint[],
        string_to_array(${rows.map((row) => row.frame).join('\n')}::text, chr(10))
      ) as given (host, kind, at, boot, seq, frame)
      on conflict do nothing
      returning host, at
    ), late as (
      insert into seal_work (host, minute)
      select distinct host, date_trunc('minute', at) from added where at < (select closed_until from seal_state)
    )
    select count(*)::int as added from added`;
  return result.added;
}

/** The indexes of those rows whose place (host, kind, at) is taken by another publication (another boot or seq). */
export async function findConflicts(sql: Sql, rows: readonly SampleRow[]): Promise<number[]> {
  const found = await sql<{ index: number }[]>`
    select (given.index - 1)::int as index
    from unnest(
      ${array(rows, 'host')}::uuid[], ${array(rows, 'kind')}::text[], ${array(rows, 'at')}::float8[],
      ${array(rows, 'boot')}::uuid[], ${array(rows, 'seq')}::bigint[]
    ) with ordinality as given (host, kind, at, boot, seq, index)
    join sample_hot stored on stored.host = given.host and stored.kind = given.kind and stored.at = to_timestamp(given.at / 1000)
    where stored.boot <> given.boot or stored.seq <> given.seq`;
  return found.map((row) => row.index);
}

export interface StoredFrame extends HotFrame {
  kind: SampleRow['kind'];
}

/** One whose kind is known. */
export type HotFrame = Pick<SampleRow, 'at' | 'boot' | 'seq' | 'frame'>;

/** The newest publications of a host, newest first, at most `limit` of each kind. */
export async function newestFrames(sql: Sql, host: string, limit: number): Promise<StoredFrame[]> {
  return sql<StoredFrame[]>`
    select kind, boot, seq::float8 as seq, (extract(epoch from at) * 1000)::float8 as at, convert_from(frame, 'UTF8') as frame
    from (
      (select * from sample_hot where host = ${host} and kind = 'sample' order by at desc limit ${limit})
      union all
      (select * from sample_hot where host = ${host} and kind = 'processes' order by at desc limit ${limit})
    ) newest
    order by newest.at desc, seq desc`;
}

/** A host's publications of one kind in these minutes (their beginnings, milliseconds since 1970 UTC) as far as they are still rows, ascending. */
export async function readHotMinutes(sql: Sql, kind: SampleRow['kind'], host: string, minutes: readonly number[]): Promise<HotFrame[]> {
  return sql<HotFrame[]>`
    select (extract(epoch from hot.at) * 1000)::float8 as at, hot.boot, hot.seq::float8 as seq, convert_from(hot.frame, 'UTF8') as frame
    from unnest(${`{${minutes.join(',')}}`}::text::float8[]) as given (minute)
    join sample_hot hot on hot.host = ${host} and hot.kind = ${kind}
      and hot.at >= to_timestamp(given.minute / 1000) and hot.at < to_timestamp(given.minute / 1000) + interval '1 minute'
    order by hot.at`;
}

/** Forgets the rows of a host that are not in chunks yet. */
export async function deleteSamples(sql: Sql, host: string): Promise<void> {
  await sql`delete from sample_hot where host = ${host}`;
}
