/** Posts a fact with a time into a conversation, in the hub's own name. */

import { insertItem } from '../data/messages.ts';
import { newId } from '../lib/id.ts';
import type { Event, EventWhat } from '../protocol/kinds.ts';
import { commitAndPublish } from './conversation.ts';
import type { ConversationParts } from './conversation.ts';

export interface EventDraft {
  /** The conversation's id; a host's own has the host's id. */
  room: string;
  what: EventWhat;
  /** Milliseconds since 1970 UTC; absent: now. */
  at?: number;
  until?: number;
  details?: Event['details'];
}

/** Throws AppError not_found where there is no such room. */
export function postEvent(parts: ConversationParts, draft: EventDraft): Promise<Event> {
  const nowMs = parts.clock.now();
  const { room, what, at = nowMs, until, details = {} } = draft;
  const event: Event = { kind: 'event', id: newId(), room, what, at, until, createdAt: nowMs, details };
  return commitAndPublish(parts, room, async (tx, offset) => {
    await insertItem(tx, offset, event);
    return { item: event, info: null };
  });
}
