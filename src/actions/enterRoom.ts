/** Decides who may enter which room, with what they find there. */

import { mayInRoom } from '../auth/permissions.ts';
import type { Directory } from '../data/directory.ts';
import { findRoomFor } from '../data/groups.ts';
import type { Asker } from '../data/groups.ts';
import type { HostNow } from '../data/presence.ts';
import type { Sql } from '../db/database.ts';
import type { Grant } from '../hub/room.ts';
import { Refusal } from '../hub/refusal.ts';
import type { Clock } from '../lib/clock.ts';
import type { JsonText } from '../lib/json.ts';
import { errors } from '../protocol/codes.ts';
import type { Fleet, HostState, HostSummary } from '../protocol/kinds.ts';
import type { Role } from '../protocol/rest.ts';
import { parseRoom } from '../protocol/rooms.ts';
import type { RoomName } from '../protocol/rooms.ts';
import type { ConversationStream } from '../streams/conversation.ts';
import type { SampleStream } from '../streams/samples.ts';
import type { FleetBoard } from './fleet.ts';
import { unknownSummary } from './fleetRecord.ts';

export interface RoomParts {
  sql: Sql;
  directory: Directory;
  samples: SampleStream;
  conversations: ConversationStream;
  fleet: FleetBoard;
  clock: Clock;
}

/** The one answer for every room that may not be entered, existing or not. */
export const noEntry = (): Refusal => new Refusal(errors.permissionDenied);

/** The room as a person may read it. Throws `noEntry`. */
export async function enterRoom(parts: RoomParts, asker: Asker, channel: string): Promise<Grant> {
  const room = parseRoom(channel);
  if (!room) throw noEntry();
  switch (room.sort) {
    case 'host':
      return enterHost(parts, asker, room);
    case 'room':
      await permit(parts, asker, room, (await parts.directory.room(room.id))?.group);
      return { stream: parts.conversations, joinLeave: true, presence: true, skippable: false };
    case 'fleet':
      return enterFleet(parts, asker, room);
    case 'user':
      if (!mayInRoom('read', 'user', { role: undefined, self: room.id === asker.id })) throw noEntry();
      return { joinLeave: false, presence: false, skippable: false };
  }
}

/** The role with which someone may write into a conversation. Throws `noEntry` for all other rooms. */
export async function roleToWrite(sql: Sql, asker: Asker, channel: string): Promise<{ room: string; role: Role }> {
  const room = parseRoom(channel);
  const role = room?.sort === 'room' ? (await findRoomFor(sql, asker, room.id))?.role : undefined;
  if (!room || !role || !mayInRoom('publish', 'room', { role })) throw noEntry();
  return { room: room.id, role };
}

async function enterHost(parts: RoomParts, asker: Asker, room: RoomName): Promise<Grant> {
  const { id } = room;
  const host = await parts.directory.host(id);
  await permit(parts, asker, room, host?.group);
  if (!host) throw noEntry();
  const data = (): HostState => {
    const live = parts.fleet.summary(id)?.status;
    const { sample, processes } = parts.samples.latest(id);
    const status = live ?? statusOf({ online: host.online, lastSampleAt: host.lastSampleAt ?? sample?.at ?? null });
    const { name, inventory } = host;
    return { id, name, status, onlineSince: status === 'online' ? host.onlineSince : null, inventory, sample, processes };
  };
  return { stream: parts.samples, joinLeave: true, presence: true, skippable: true, data };
}

async function enterFleet(parts: RoomParts, asker: Asker, room: RoomName): Promise<Grant> {
  const hosts = await parts.directory.groupNow(room.id);
  await permit(parts, asker, room, room.id);
  if (!hosts) throw noEntry();
  const make = (): Fleet => ({
    kind: 'fleet',
    at: parts.clock.now(),
    hosts: Object.fromEntries(hosts.map((host) => [host.id, parts.fleet.summary(host.id) ?? storedSummary(host)])),
  });
  const data = (): JsonText => parts.fleet.state(room.id, hosts, make);
  // A slow reader enters anew, which gives it everything.
  return { joinLeave: false, presence: false, skippable: true, data };
}

/** `group` is that of the room; undefined where there is no such room, which has to take as long as one that may not be seen. */
async function permit({ directory }: RoomParts, asker: Asker, { sort, id }: RoomName, group: string | undefined): Promise<void> {
  const role = await directory.roleIn(asker, group ?? id);
  if (group === undefined || !mayInRoom('read', sort, { role })) throw noEntry();
}

/** A host as it is known without a sample in memory. */
export function storedSummary(host: Pick<HostNow, 'online' | 'lastSampleAt'>): HostSummary {
  return { ...unknownSummary, status: statusOf(host), at: host.lastSampleAt };
}

function statusOf({ online, lastSampleAt }: Pick<HostNow, 'online' | 'lastSampleAt'>): HostSummary['status'] {
  if (online) return 'online';
  return lastSampleAt === null ? 'never' : 'offline';
}
