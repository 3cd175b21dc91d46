/** Reads and writes the chunks of host-minutes. */

import type { Sql } from '../db/database.ts';
import type { SampleRow } from './samples.ts';

/** A host-minute; `minute` is its beginning in milliseconds since 1970 UTC. */
export interface HostMinute {
  host: string;
  minute: number;
}

export interface ChunkRow extends HostMinute {
  kind: SampleRow['kind'];
  /** Publications in it. */
  n: number;
  data: Buffer;
}

/** PostgreSQL's array literal of values that need no quoting. */
export const literal = (values: readonly (string | number)[]): string => `{${values.join(',')}}`;
/** The driver's number for arrays of bytea. */
export const byteaArray = 1001;

/** The chunks of these host-minutes, of either kind, as far as there are any. */
export async function findChunks(sql: Sql, minutes: readonly HostMinute[]): Promise<ChunkRow[]> {
  return sql<ChunkRow[]>`
    select c.host, c.kind, (extract(epoch from c.minute) * 1000)::float8 as minute, c.n, c.data
    from unnest(${literal(minutes.map((one) => one.host))}::text::uuid[], ${literal(minutes.map((one) => one.minute))}::text::float8[]) as given (host, minute)
    join sample_chunk c on c.host = given.host and c.minute = to_timestamp(given.minute / 1000)`;
}

/** Puts chunks in the place of those that are there. */
export async function putChunks(sql: Sql, chunks: readonly ChunkRow[]): Promise<void> {
  if (chunks.length === 0) return;
  await sql`
    insert into sample_chunk (host, kind, minute, n, data)
    select host, kind, to_timestamp(minute / 1000), n, data
    from unnest(
      ${literal(chunks.map((chunk) => chunk.host))}::text::uuid[], ${literal(chunks.map((chunk) => chunk.kind))}::text::text[],
      ${literal(chunks.map((chunk) => chunk.minute))}::text::float8[], ${literal(chunks.map((chunk) => chunk.n))}::text::integer[],
      ${sql.array(
        chunks.map((chunk) => chunk.data),
        byteaArray,
      )}::bytea[]
    ) as given (host, kind, minute, n, data)
    on conflict (host, kind, minute) do update set n = excluded.n, data = excluded.data`;
}

/** Keeps the bytes of a chunk that cannot be read, before another takes its place. */
export async function keepCorruptChunk(sql: Sql, { host, kind, minute, data }: ChunkRow): Promise<void> {
  await sql`insert into corrupt_chunk (host, kind, minute, data) values (${host}, ${kind}, to_timestamp(${minute}::float8 / 1000), ${data})`;
}

export interface StoredChunk {
  minute: number;
  data: Buffer;
  /** False while late samples of this minute wait in sample_hot for being merged. */
  whole: boolean;
}

/** The chunks of a host's publications of one kind in a range, ascending. */
export async function readChunks(sql: Sql, kind: SampleRow['kind'], host: string, fromMs: number, toMs: number): Promise<StoredChunk[]> {
  return sql<StoredChunk[]>`
    select (extract(epoch from minute) * 1000)::float8 as minute, data,
      not exists (select from seal_work w where w.host = c.host and w.minute = c.minute) as whole
    from sample_chunk c
    where host = ${host} and kind = ${kind}
      and minute >= to_timestamp(${fromMs}::float8 / 1000) and minute < to_timestamp(${toMs}::float8 / 1000)
    order by c.minute`;
}

/** The newest chunk of a host's publications of one kind. */
export async function newestChunk(sql: Sql, host: string, kind: SampleRow['kind']): Promise<{ minute: number; data: Buffer } | undefined> {
  const [chunk] = await sql<{ minute: number; data: Buffer }[]>`
    select (extract(epoch from minute) * 1000)::float8 as minute, data from sample_chunk where host = ${host} and kind = ${kind} order by sample_chunk.minute desc limit 1`;
  return chunk;
}

/** The beginning of the first minute at or after `fromMs` that has publications of the host; undefined where none before `toMs` has. */
export async function nextMinute(
  sql: Sql,
  kind: SampleRow['kind'],
  host: string,
  fromMs: number,
  toMs: number,
): Promise<number | undefined> {
  const [row] = await sql<{ minute: number | null }[]>`
    select (extract(epoch from date_trunc('minute', least(
      (select minute from sample_chunk where host = ${host} and kind = ${kind}
        and minute >= to_timestamp(${fromMs}::float8 / 1000) and minute < to_timestamp(${toMs}::float8 / 1000) order by minute limit 1),
      (select at from sample_hot where host = ${host} and kind = ${kind}
        and at >= to_timestamp(${fromMs}::float8 / 1000) and at < to_timestamp(${toMs}::float8 / 1000) order by at limit 1)
    ))) * 1000)::float8 as minute`;
  return row?.minute ?? undefined;
}

export async function deleteChunks(sql: Sql, host: string): Promise<void> {
  await sql`with corrupt as (delete from corrupt_chunk where host = ${host}) delete from sample_chunk where host = ${host}`;
}
