/** Reads a page of a conversation's timeline. */

import { findItem, readTimelineRange } from '../data/messages.ts';
import type { PlacedItem } from '../data/messages.ts';
import type { Sql } from '../db/database.ts';
import { AppError } from '../errors.ts';
import type { TimelineItem } from '../protocol/kinds.ts';

/** Cursors are ids of items; at most one of the three is given. None: the newest items. */
export interface TimelineQuery {
  before?: string;
  after?: string;
  around?: string;
  /** 1 to 200, default 50. */
  limit?: number;
}

export interface TimelinePage {
  /** Ascending by their order in the room. */
  items: TimelineItem[];
  /** The cursor for the older page, or with `after` for the newer one; null where there is nothing more. */
  next: string | null;
}

/** The caller has checked that the room may be read. Throws AppError invalid where the cursor is not an item of the room. */
export async function readTimeline(sql: Sql, room: string, query: TimelineQuery): Promise<TimelinePage> {
  const { before, after, around } = query;
  if ([before, after, around].filter((cursor) => cursor !== undefined).length > 1) {
    throw new AppError('invalid', 'before, after, around: send at most one of them.');
  }
  const limit = Math.min(Math.max(query.limit ?? 50, 1), 200);
  if (around !== undefined) return readAround(sql, room, await offsetOf(sql, room, around), limit);
  const range = {
    before: before === undefined ? undefined : await offsetOf(sql, room, before),
    after: after === undefined ? undefined : await offsetOf(sql, room, after),
  };
  // One more than asked tells whether there is another page.
  const rows = await readTimelineRange(sql, room, { ...range, limit: limit + 1 });
  const more = rows.length > limit;
  if (after !== undefined) return toPage(rows.slice(0, limit), more ? rows[limit - 1] : undefined);
  const kept = rows.slice(-limit);
  return toPage(kept, more ? kept[0] : undefined);
}

async function readAround(sql: Sql, room: string, offset: number, limit: number): Promise<TimelinePage> {
  const half = Math.floor(limit / 2);
  const older = await readTimelineRange(sql, room, { before: offset, limit: half + 1 });
  const newer = await readTimelineRange(sql, room, { after: offset - 1, limit: limit - half });
  const page = [...older.slice(Math.max(0, older.length - half)), ...newer];
  return toPage(page, older.length > half ? page[0] : undefined);
}

async function offsetOf(sql: Sql, room: string, id: string): Promise<number> {
  const found = await findItem(sql, room, id);
  if (!found) throw new AppError('invalid', 'The cursor is not the id of an item of this room; take one from a page read before.');
  return found.offset;
}

const toPage = (rows: PlacedItem[], cursor: PlacedItem | undefined): TimelinePage => ({
  items: rows.map((row) => row.item),
  next: cursor?.item.id ?? null,
});
