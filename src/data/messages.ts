/** Reads and writes what stands in a conversation's timeline: messages of people, events. */

import type { Sql } from '../db/database.ts';
import type { Author, Event, Message, TimelineItem } from '../protocol/kinds.ts';

/** A row of the timeline as PostgreSQL gives it; times in ms since 1970 UTC. */
interface Row {
  id: string;
  room: string;
  offset: number;
  kind: 'message' | 'event';
  author: string | null;
  author_name: string | null;
  key: string | null;
  at: number;
  until: number | null;
  thread: string | null;
  body: { text: string } | { what: Event['what']; details: Event['details'] };
  created_at: number;
  edited_at: number | null;
  deleted_at: number | null;
}

/** A timeline item with its place in the order. */
export interface PlacedItem {
  offset: number;
  item: TimelineItem;
}

const columns = (sql: Sql) => sql`
  message.id, message.room, message."offset"::float8 as "offset", message.kind, message.author, person.name as author_name, message.key,
  (extract(epoch from message.at) * 1000)::float8 as at, (extract(epoch from message.until) * 1000)::float8 as until,
  message.thread, message.body, (extract(epoch from message.created_at) * 1000)::float8 as created_at,
  (extract(epoch from message.edited_at) * 1000)::float8 as edited_at, (extract(epoch from message.deleted_at) * 1000)::float8 as deleted_at`;

const time = (sql: Sql, ms: number | null | undefined) => sql`to_timestamp(${ms ?? null}::float8 / 1000)`;

function toItem(row: Row): TimelineItem {
  const { id, room, at, until, created_at: createdAt } = row;
  const range = until === null ? {} : { until };
  if ('what' in row.body) return { kind: 'event', id, room, what: row.body.what, at, ...range, createdAt, details: row.body.details };
  const author: Author | null = row.author === null ? null : { id: row.author, name: row.author_name ?? '' };
  return {
    kind: 'message',
    id,
    room,
    author,
    text: row.body.text,
    at,
    ...range,
    ...(row.thread === null ? {} : { thread: row.thread }),
    ...(row.key === null ? {} : { key: row.key }),
    createdAt,
    ...(row.edited_at === null ? {} : { editedAt: row.edited_at }),
    ...(row.deleted_at === null ? {} : { deletedAt: row.deleted_at }),
  };
}

const place = (row: Row): PlacedItem => ({ offset: row.offset, item: toItem(row) });

/** Inserts a message or event at the offset of its first publication. */
export async function insertItem(sql: Sql, offset: number, item: Message | Event): Promise<void> {
  const isMessage = item.kind === 'message';
  const body = isMessage ? { text: item.text } : { what: item.what, details: item.details };
  await sql`
    insert into message (id, room, "offset", kind, author, key, at, until, thread, body, created_at)
    values (
      ${item.id}, ${item.room}, ${offset}, ${item.kind}, ${isMessage ? (item.author?.id ?? null) : null},
      ${isMessage ? (item.key ?? null) : null}, ${time(sql, item.at)}, ${time(sql, item.until)},
      ${isMessage ? (item.thread ?? null) : null}, ${JSON.stringify(body)}::text::jsonb, ${time(sql, item.createdAt)}
    )`;
}

/** What this author posted into this room under this key. */
export async function findByKey(sql: Sql, room: string, author: string, key: string): Promise<PlacedItem | undefined> {
  const [row] = await sql<Row[]>`
    select ${columns(sql)} from message left join person on person.id = message.author
    where message.room = ${room} and message.author = ${author} and message.key = ${key}`;
  return row && place(row);
}

export async function findItem(sql: Sql, room: string, id: string): Promise<PlacedItem | undefined> {
  const [row] = await sql<Row[]>`
    select ${columns(sql)} from message left join person on person.id = message.author
    where message.room = ${room} and message.id = ${id}`;
  return row && place(row);
}

/** Gives a message its new text; a deleted message stays deleted. False where there was nothing to change. */
export async function editMessage(sql: Sql, room: string, id: string, text: string, editedAtMs: number): Promise<boolean> {
  const result = await sql`
    update message set body = ${JSON.stringify({ text })}::text::jsonb, edited_at = ${time(sql, editedAtMs)}
    where room = ${room} and id = ${id} and kind = 'message' and deleted_at is null`;
  return result.count > 0;
}

/** Empties a message and leaves its place standing. False where there was nothing to change. */
export async function deleteMessage(sql: Sql, room: string, id: string, deletedAtMs: number): Promise<boolean> {
  const result = await sql`
    update message set body = '{"text":""}', deleted_at = ${time(sql, deletedAtMs)}
    where room = ${room} and id = ${id} and kind = 'message' and deleted_at is null`;
  return result.count > 0;
}

/** Which part of a timeline: the newest, what stands before or after an offset (exclusive); always the `limit` nearest to it. */
export interface TimelineRange {
  before?: number;
  after?: number;
  limit: number;
}

/** The items of the range, ascending by offset. */
export async function readTimelineRange(sql: Sql, room: string, range: TimelineRange): Promise<PlacedItem[]> {
  const { before = null, after = null, limit } = range;
  const forward = after !== null;
  const rows = await sql<Row[]>`
    select ${columns(sql)} from message left join person on person.id = message.author
    where message.room = ${room}
      and (${before}::bigint is null or message."offset" < ${before}::bigint)
      and (${after}::bigint is null or message."offset" > ${after}::bigint)
    order by ${forward ? sql`message."offset"` : sql`message."offset" desc`}
    limit ${limit}`;
  const items = rows.map(place);
  return forward ? items : items.reverse();
}
