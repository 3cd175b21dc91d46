/** The story of a message: checked, committed once, then shown; its edits and its deletion go the same way. */

import { mayInRoom, may } from '../auth/permissions.ts';
import { deleteMessage, editMessage, findByKey, findItem, insertItem } from '../data/messages.ts';
import { replacePublications } from '../data/publications.ts';
import type { Sql } from '../db/database.ts';
import { AppError } from '../errors.ts';
import { newId } from '../lib/id.ts';
import { checkMessageDraft, textFault } from '../protocol/checks.ts';
import type { Author, Message, MessageDraft } from '../protocol/kinds.ts';
import type { Role } from '../protocol/rest.ts';
import { commitAndPublish, show } from './conversation.ts';
import type { Change, ConversationParts } from './conversation.ts';

/** Who writes, with the role on the room's group. */
export interface Writer {
  author: Author;
  role: Role | undefined;
  /** The id of the connection; empty over REST. */
  client?: string;
}

/** Undoes the transaction of a retry: what it wants stands already. */
class AlreadyPosted extends Error {
  readonly posted: Message;
  readonly offset: number;

  constructor(message: Message, offset: number) {
    super('already posted');
    this.posted = message;
    this.offset = offset;
  }
}

/**
 * Posts a message. A retry with the same `key` by the same author into the same room changes nothing and gets the same message with
 * `created: false`. Throws AppError: invalid, forbidden, not_found.
 */
export async function postMessage(
  parts: ConversationParts,
  writer: Writer,
  room: string,
  draft: unknown,
): Promise<{ message: Message; created: boolean }> {
  const { ok, fault } = checkMessageDraft(draft);
  if (!ok) throw new AppError('invalid', fault);
  allow(mayInRoom('publish', 'room', { role: writer.role }), writer.role, 'Only members may post here.');
  try {
    const message = await commitAndPublish(parts, room, async (tx, offset) => {
      await refuseRepeat(tx, room, writer.author, ok);
      if (ok.thread !== undefined) await checkThread(tx, room, ok.thread);
      const message = compose(room, writer.author, ok, parts.clock.now());
      await insertItem(tx, offset, message);
      return { item: message, info: infoOf(writer) };
    });
    return { message, created: true };
  } catch (error) {
    if (!(error instanceof AlreadyPosted)) throw error;
    const { posted: message, offset } = error;
    // The answer to the first commit may have been lost before it was shown.
    show(parts, room, { item: message, offset, info: infoOf(writer) });
    return { message, created: false };
  }
}

/** Gives an own message a new text. Throws AppError: invalid, forbidden, not_found. */
export async function editOwnMessage(parts: ConversationParts, writer: Writer, room: string, id: string, text: unknown): Promise<Message> {
  const fault = textFault(text);
  if (fault !== undefined) throw new AppError('invalid', fault);
  return commitAndPublish(parts, room, async (tx) => {
    const { item: message } = await findMessage(tx, room, id);
    const isOwn = message.author?.id === writer.author.id && may('message.changeOwn', writer.role);
    allow(isOwn, writer.role, 'Only its author may edit a message.');
    await editMessage(tx, room, id, text as string, parts.clock.now());
    return again(tx, writer, room, id);
  });
}

/** Empties a message; its place stays. The author may, and who may delete others'. Throws AppError: forbidden, not_found. */
export async function removeMessage(parts: ConversationParts, writer: Writer, room: string, id: string): Promise<Message> {
  return commitAndPublish(parts, room, async (tx) => {
    const { item: message, offset } = await findMessage(tx, room, id);
    const isOwn = message.author?.id === writer.author.id && may('message.changeOwn', writer.role);
    allow(isOwn || may('message.deleteOthers', writer.role), writer.role, 'Only its author or an owner may delete a message.');
    await deleteMessage(tx, room, id, parts.clock.now());
    const change = await again(tx, writer, room, id);
    await replacePublications(tx, room, offset, id, JSON.stringify(change.item));
    return change;
  });
}

function allow(allowed: boolean, role: Role | undefined, detail: string): void {
  if (allowed) return;
  // Who may not even read must not learn that the room exists.
  throw role === undefined ? new AppError('not_found', 'There is no such room.') : new AppError('forbidden', detail);
}

/** Within the room's lock, so that of two posts with one key the second sees the first. */
async function refuseRepeat(tx: Sql, room: string, author: Author, draft: MessageDraft): Promise<void> {
  if (draft.key === undefined) return;
  const known = await findByKey(tx, room, author.id, draft.key);
  if (known?.item.kind === 'message') throw new AlreadyPosted(known.item, known.offset);
}

async function checkThread(tx: Sql, room: string, thread: string): Promise<void> {
  const first = await findItem(tx, room, thread);
  if (!first) throw new AppError('invalid', 'thread: there is no such message in this room.');
}

/** A deleted message counts as gone. */
async function findMessage(tx: Sql, room: string, id: string): Promise<{ item: Message; offset: number }> {
  const found = await findItem(tx, room, id);
  if (found?.item.kind !== 'message' || found.item.deletedAt !== undefined) throw new AppError('not_found', 'There is no such message.');
  return { item: found.item, offset: found.offset };
}

async function again(tx: Sql, writer: Writer, room: string, id: string): Promise<Change<Message>> {
  const changed = await findItem(tx, room, id);
  if (changed?.item.kind !== 'message') throw new AppError('not_found', 'There is no such message.');
  return { item: changed.item, info: infoOf(writer) };
}

function compose(room: string, author: Author, draft: MessageDraft, nowMs: number): Message {
  const { text, at = nowMs, until, thread, key } = draft;
  return { kind: 'message', id: newId(), room, author, text, at, until, thread, key, createdAt: nowMs };
}

const infoOf = ({ author, client = '' }: Writer): string =>
  JSON.stringify({ user: author.id, client, conn_info: { kind: 'user', name: author.name } });
