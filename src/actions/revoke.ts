/** Takes rights away from those who are connected. */

import type { Asker } from '../data/groups.ts';
import type { Client, Identity } from '../hub/client.ts';
import type { Hub } from '../hub/hub.ts';
import { Refusal } from '../hub/refusal.ts';
import { closes, unsubscribes } from '../protocol/codes.ts';
import type { EndCode } from '../protocol/codes.ts';
import { conversationRoom, hostRoom } from '../protocol/rooms.ts';
import { enterRoom } from './enterRoom.ts';
import type { RoomParts } from './enterRoom.ts';

type Connected = Pick<Hub, 'clients' | 'unsubscribe'>;

/** What the policy keeps of a person on the connection. */
export interface PersonSession extends Asker {
  name: string;
}

/** What an identity has of a person: the part that others see, the part that the policy keeps. */
export const appearanceOf = ({ id, name, admin }: PersonSession): Pick<Identity, 'info' | 'extra'> => ({
  info: { kind: 'user', name },
  extra: { id, name, admin } satisfies PersonSession,
});

export const personOf = (client: Pick<Client, 'identity'>): PersonSession => client.identity.extra as PersonSession;

/** Closes every connection whose identity `ends` says so of; 3500 makes the page sign in anew. */
export function revoke(hub: Connected, ends: (identity: Identity) => boolean, end: EndCode = closes.invalidToken): void {
  for (const client of [...hub.clients()]) if (ends(client.identity)) client.close(end);
}

/** Closes the connections of sessions that ended. */
export function endSessions(hub: Connected, sessions: readonly string[]): void {
  revoke(hub, (identity) => identity.session !== undefined && sessions.includes(identity.session));
}

/** Takes everyone out of the rooms of a host that is no more. */
export function emptyRooms(hub: Connected, host: string): void {
  for (const client of hub.clients()) {
    for (const room of [hostRoom(host), conversationRoom(host)])
      if (client.rooms.has(room)) hub.unsubscribe(client, room, unsubscribes.server);
  }
}

/** Takes a change of a person's roles, name or being an admin to all their connections; ends the rooms they may not be in any more. */
export async function recheckRooms(parts: RoomParts, hub: Connected, person: string): Promise<void> {
  for (const client of [...hub.clients()]) {
    const { identity } = client;
    if (identity.kind !== 'user' || identity.user !== person) continue;
    // oxlint-disable-next-line no-await-in-loop -- one person's few connections; no need to hurry the database
    const holder = identity.session === undefined ? undefined : await parts.directory.session(identity.session);
    if (holder) client.identity = { ...identity, ...appearanceOf({ id: person, name: holder.name, admin: holder.admin }) };
    // oxlint-disable-next-line no-await-in-loop -- the same
    await recheckRoomsOf(parts, hub, client);
  }
}

/** The same for one connection of a person. */
export async function recheckRoomsOf(parts: RoomParts, hub: Pick<Hub, 'unsubscribe'>, client: Client): Promise<void> {
  // oxlint-disable-next-line no-await-in-loop -- few rooms; no need to hurry the database
  for (const room of [...client.rooms.keys()]) await recheck(parts, hub, client, room);
}

async function recheck(parts: RoomParts, hub: Pick<Hub, 'unsubscribe'>, client: Client, room: string): Promise<void> {
  try {
    await enterRoom(parts, personOf(client), room);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    hub.unsubscribe(client, room, unsubscribes.server);
  }
}
