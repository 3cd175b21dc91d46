/** Reads and writes the publications of conversations: the rows whose offsets are the positions of `room:`. */

import type { Sql } from '../db/database.ts';

/** The newest publications kept in every room, whatever their age. */
export const keptPublications = 1_000;

export interface StoredPublication {
  offset: number;
  /** JSON texts as they stand on the wire. */
  data: string;
  info: string | null;
}

/** Takes the room's next offset and holds its row until the transaction ends; undefined where there is no such room. */
export async function nextOffset(sql: Sql, room: string): Promise<number | undefined> {
  const [row] = await sql<{ top: number }[]>`update room set top = top + 1 where id = ${room} returning top::float8 as top`;
  return row?.top;
}

/** Appends to the room, at an offset from `nextOffset` of the same transaction. */
export async function insertPublication(sql: Sql, room: string, publication: StoredPublication): Promise<void> {
  await sql`
    insert into publication (room, "offset", data, info)
    values (${room}, ${publication.offset}, ${publication.data}, ${publication.info})`;
}

/** Puts `data` into the place of what was published of a message since `offset`, so that a deleted text is gone from there too. */
export async function replacePublications(sql: Sql, room: string, offset: number, message: string, data: string): Promise<void> {
  await sql`
    update publication set data = ${data}
    where room = ${room} and "offset" >= ${offset} and publication.data::jsonb ->> 'id' = ${message}`;
}

/** The offset of each room's newest publication; 0 in an empty room, nothing where there is no such room. */
export async function readTops(sql: Sql, rooms: readonly string[]): Promise<Map<string, number>> {
  const rows = await sql<{ id: string; top: number }[]>`
    select id, top::float8 as top from room where id = any(${rooms as string[]}::uuid[])`;
  return new Map(rows.map(({ id, top }) => [id, top]));
}

/** The newest publications of the room up to offset `top`, ascending, at most `limit`. */
export async function newestPublications(sql: Sql, room: string, top: number, limit: number): Promise<StoredPublication[]> {
  return sql<StoredPublication[]>`
    select "offset"::float8 as "offset", data, info from publication
    where room = ${room} and "offset" > ${top - limit} and "offset" <= ${top}
    order by publication."offset"`;
}

/** Publications above `since` up to `top`, ascending from the oldest, or descending from `top`; at most `limit`. */
export async function readPublications(
  sql: Sql,
  room: string,
  range: { since: number; top: number; limit: number; reverse: boolean },
): Promise<StoredPublication[]> {
  return sql<StoredPublication[]>`
    select "offset"::float8 as "offset", data, info from publication
    where room = ${room} and "offset" > ${range.since} and "offset" <= ${range.top}
    order by ${range.reverse ? sql`publication."offset" desc` : sql`publication."offset"`}
    limit ${range.limit}`;
}

/** Drops what is older than `before` (ms since 1970), but never the newest `keptPublications` of a room. Returns how many. */
export async function trimPublications(sql: Sql, beforeMs: number): Promise<number> {
  const result = await sql`
    delete from publication using room
    where publication.room = room.id and publication."offset" <= room.top - ${keptPublications}
      and publication.at < to_timestamp(${beforeMs}::float8 / 1000)`;
  return result.count;
}
