/** Who may do what: one pure table for rooms, one for the rest. */

import type { Role } from '../protocol/rest.ts';
import type { RoomSort } from '../protocol/rooms.ts';

export type RoomAction = 'read' | 'publish';
export type Action =
  | 'group.read'
  | 'group.manageMembers'
  | 'host.read'
  | 'host.add'
  | 'host.rename'
  | 'host.delete'
  | 'host.enrol'
  | 'room.read'
  | 'message.post'
  | 'message.changeOwn'
  | 'message.deleteOthers';

/** How someone stands to a room or group. An admin is owner everywhere. */
export interface Standing {
  /** The role on its group; undefined without one. */
  role: Role | undefined;
  /** The agent of this host, or the user of this `user:` room. */
  self?: boolean;
}

const rank: Record<Role, number> = { viewer: 1, member: 2, operator: 3, owner: 4 };
const atLeast = (needed: Role, role: Role | undefined): boolean => role !== undefined && rank[role] >= rank[needed];

/** Least role that may do it; `self`: the one whom the room is about; `nobody`: the hub alone. */
const rooms: Record<RoomSort, Record<RoomAction, Role | 'self' | 'nobody'>> = {
  host: { read: 'viewer', publish: 'self' },
  room: { read: 'viewer', publish: 'member' },
  fleet: { read: 'viewer', publish: 'nobody' },
  user: { read: 'self', publish: 'nobody' },
};

const actions: Record<Action, Role> = {
  'group.read': 'viewer',
  'group.manageMembers': 'owner',
  'host.read': 'viewer',
  'host.add': 'operator',
  'host.rename': 'operator',
  'host.delete': 'operator',
  'host.enrol': 'operator',
  'room.read': 'viewer',
  'message.post': 'member',
  'message.changeOwn': 'member',
  'message.deleteOthers': 'owner',
};

/** Whether the room may be read or published into. */
export function mayInRoom(action: RoomAction, sort: RoomSort, standing: Standing): boolean {
  const needed = rooms[sort][action];
  if (needed === 'nobody') return false;
  return needed === 'self' ? standing.self === true : atLeast(needed, standing.role);
}

/** Whether the role on the group is enough. */
export const may = (action: Action, role: Role | undefined): boolean => atLeast(actions[action], role);
