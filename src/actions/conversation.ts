/** Commits a change of a conversation together with its publication, then shows it. */

import { insertPublication, nextOffset } from '../data/publications.ts';
import type { Pool, Sql } from '../db/database.ts';
import { AppError } from '../errors.ts';
import type { Hub } from '../hub/hub.ts';
import type { Clock } from '../lib/clock.ts';
import type { TimelineItem } from '../protocol/kinds.ts';
import { conversationRoom } from '../protocol/rooms.ts';
import type { Tracing } from '../ops/tracing.ts';
import type { ConversationStream } from '../streams/conversation.ts';

export interface ConversationParts {
  sql: Pool;
  hub: Pick<Hub, 'publish'>;
  stream: ConversationStream;
  clock: Clock;
  /** Absent: no traces. */
  tracing?: Tracing;
}

/** `info` is the publisher's ClientInfo as JSON text; null where the hub itself speaks. */
export interface Change<Item extends TimelineItem> {
  item: Item;
  info: string | null;
}

/**
 * Runs `change` in a transaction that holds the room's next offset, so that commits and offsets have one order; then publishes the
 * item it gives back as it is now. What `change` throws undoes everything; AppError not_found where there is no such room.
 */
export async function commitAndPublish<Item extends TimelineItem>(
  parts: ConversationParts,
  room: string,
  change: (tx: Sql, offset: number) => Promise<Change<Item>>,
): Promise<Item> {
  const span = parts.tracing?.start('change of a conversation', parts.tracing.current()?.traceparent, { room });
  try {
    const { offset, changed } = await parts.sql.begin(async (tx) => {
      const offset = await nextOffset(tx, room);
      if (offset === undefined) throw new AppError('not_found', 'There is no such room.');
      const changed = await change(tx, offset);
      await insertPublication(tx, room, { offset, data: JSON.stringify(changed.item), info: changed.info });
      return { offset, changed };
    });
    show(parts, room, { ...changed, offset }, span?.traceparent);
    span?.end();
    return changed.item;
  } catch (error) {
    span?.end(error);
    throw error;
  }
}

/** Shows what is committed to all members of the room; what they have seen already they do not see again. */
export function show(
  parts: ConversationParts,
  room: string,
  { item, offset, info }: Change<TimelineItem> & { offset: number },
  trace?: string,
): void {
  const name = conversationRoom(room);
  const entry = { offset, data: JSON.stringify(item), info: info ?? undefined };
  parts.stream.add(name, entry, isDeletion(item));
  parts.hub.publish(name, { ...entry, epoch: parts.stream.epoch, trace });
}

/** Whether a publication of a conversation tells that a message was deleted. */
export const isDeletion = (item: object): boolean => 'deletedAt' in item && item.deletedAt !== undefined;
