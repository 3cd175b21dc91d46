/** Room names: `<sort>:<id>`. What the sorts mean and who may enter stands in the permissions. */

export const roomSorts = ['host', 'room', 'fleet', 'user'] as const;
export type RoomSort = (typeof roomSorts)[number];

export interface RoomName {
  sort: RoomSort;
  /** UUID of the host, conversation, group or user. */
  id: string;
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export const isUuid = (text: unknown): text is string => typeof text === 'string' && uuid.test(text);

/** Splits a room name; undefined for anything that is not exactly one of ours. */
export function parseRoom(name: string): RoomName | undefined {
  const colon = name.indexOf(':');
  const sort = roomSorts.find((known) => known === name.slice(0, colon));
  const id = name.slice(colon + 1);
  return sort && isUuid(id) ? { sort, id } : undefined;
}

export const hostRoom = (hostId: string): string => `host:${hostId}`;
export const conversationRoom = (roomId: string): string => `room:${roomId}`;
export const fleetRoom = (groupId: string): string => `fleet:${groupId}`;
export const userRoom = (userId: string): string => `user:${userId}`;
