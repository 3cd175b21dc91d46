/** Routes of conversations. */

import type { ConversationParts } from '../actions/conversation.ts';
import { editOwnMessage, postMessage, removeMessage } from '../actions/postMessage.ts';
import type { Writer } from '../actions/postMessage.ts';
import { readTimeline } from '../actions/readTimeline.ts';
import { findRoomFor, listMembers, listRooms } from '../data/groups.ts';
import type { RoomRow } from '../data/groups.ts';
import { AppError } from '../errors.ts';
import { may } from '../auth/permissions.ts';
import {
  IdParams,
  Members,
  Message,
  MessageParams,
  MessagePatch,
  NewMessage,
  PageQuery,
  Room,
  Rooms,
  Timeline,
  TimelineQuery,
} from '../protocol/rest.ts';
import { conversationRoom, hostRoom } from '../protocol/rooms.ts';
import { userOf } from './guards.ts';
import type { GroupNeeds } from './groups.ts';
import { idempotencyKeyOf } from './idempotency.ts';
import { Nothing, refusals, signedIn, toPage, toSlice } from './routes.ts';
import type { Api } from './routes.ts';

export interface RoomNeeds extends GroupNeeds {
  conversation: ConversationParts;
}

const tags = ['rooms'];

export function roomRoutes(app: Api, { sql, present, conversation }: RoomNeeds): void {
  const roomFor = async (request: Parameters<typeof userOf>[0], id: string): Promise<RoomRow> => {
    const room = await findRoomFor(sql, userOf(request), id);
    if (!room || !may('room.read', room.role)) throw new AppError('not_found', 'There is no such room, or you may not see it.');
    return room;
  };
  const writerIn = async (request: Parameters<typeof userOf>[0], id: string): Promise<Writer> => {
    const { role } = await roomFor(request, id);
    const user = userOf(request);
    return { author: { id: user.id, name: user.name }, role };
  };

  app.get(
    '/rooms',
    {
      schema: { tags, security: signedIn, summary: 'The rooms one may see', querystring: PageQuery, response: { 200: Rooms, ...refusals } },
    },
    async (request) => toPage(await listRooms(sql, userOf(request), toSlice(request.query)), request.query),
  );

  app.get(
    '/rooms/:id',
    { schema: { tags, security: signedIn, summary: 'One room', params: IdParams, response: { 200: Room, ...refusals } } },
    async (request) => roomFor(request, request.params.id),
  );

  app.get(
    '/rooms/:id/members',
    {
      schema: {
        tags,
        security: signedIn,
        summary: 'Who has a role in the room, and is here now',
        params: IdParams,
        querystring: PageQuery,
        response: { 200: Members, ...refusals },
      },
    },
    async (request) => {
      const { id, group } = await roomFor(request, request.params.id);
      const { items, next } = toPage(await listMembers(sql, group.id, toSlice(request.query)), request.query);
      const [talking, watching] = await Promise.all([present(conversationRoom(id)), present(hostRoom(id))]);
      const isHere = (user: string): boolean => talking.has(user) || watching.has(user);
      return { items: items.map(({ role, ...user }) => ({ user, role, present: isHere(user.id) })), next };
    },
  );

  app.get(
    '/rooms/:id/messages',
    {
      schema: {
        tags,
        security: signedIn,
        summary: 'A page of the timeline, oldest first',
        description: '`before`, `after` and `around` are ids of items; without them the newest.',
        params: IdParams,
        querystring: TimelineQuery,
        response: { 200: Timeline, ...refusals },
      },
    },
    async (request) => {
      const room = await roomFor(request, request.params.id);
      return readTimeline(sql, room.id, request.query);
    },
  );

  app.post(
    '/rooms/:id/messages',
    {
      config: { keepsKeys: true },
      schema: {
        tags,
        security: signedIn,
        summary: 'Post a message',
        description:
          'Needs member. `key`, or the header Idempotency-Key, makes a retry harmless: it is answered 200 with the same message.',
        params: IdParams,
        body: NewMessage,
        response: { 200: Message, 201: Message, ...refusals },
      },
    },
    async (request, reply) => {
      const writer = await writerIn(request, request.params.id);
      const key = request.body.key ?? idempotencyKeyOf(request);
      const { message, created } = await postMessage(conversation, writer, request.params.id, { ...request.body, key });
      return reply.code(created ? 201 : 200).send(message);
    },
  );

  app.patch(
    '/rooms/:id/messages/:messageId',
    {
      schema: {
        tags,
        security: signedIn,
        summary: 'Give an own message another text',
        params: MessageParams,
        body: MessagePatch,
        response: { 200: Message, ...refusals },
      },
    },
    async (request) => {
      const { id, messageId } = request.params;
      return editOwnMessage(conversation, await writerIn(request, id), id, messageId, request.body.text);
    },
  );

  app.delete(
    '/rooms/:id/messages/:messageId',
    {
      schema: {
        tags,
        security: signedIn,
        summary: 'Empty a message; its place stays',
        description: 'The author may, and owners.',
        params: MessageParams,
        response: { 204: Nothing, ...refusals },
      },
    },
    async (request, reply) => {
      const { id, messageId } = request.params;
      await removeMessage(conversation, await writerIn(request, id), id, messageId);
      return reply.code(204).send(null);
    },
  );
}
