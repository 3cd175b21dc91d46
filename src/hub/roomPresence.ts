/** Who is in the rooms, on all replicas, told to the members here as they come and go. */

import type { ClientInfo } from '../protocol/commands.ts';
import { encodePresencePush } from '../protocol/replies.ts';
import type { Here, Presence, PresenceChange } from '../relay/presence.ts';
import type { Identity } from './client.ts';
import type { Room } from './room.ts';

export interface RoomPresenceOptions {
  rooms: ReadonlyMap<string, Room>;
  elsewhere: Presence;
  /** People come and go visibly, and are listed, in rooms of up to so many of them. */
  upTo: number;
}

export class RoomPresence {
  readonly #options: RoomPresenceOptions;

  constructor(options: RoomPresenceOptions) {
    this.#options = options;
  }

  start(): void {
    const { rooms, elsewhere, upTo } = this.#options;
    elsewhere.start({
      names: () => rooms.keys(),
      here: (name) => this.here(name),
      peopleHere: (name) => rooms.get(name)?.members.size ?? 0,
      peopleUpTo: upTo,
      isTold: (name) => isTold(rooms.get(name)),
      tell: (name, change) => push(rooms.get(name), change),
    });
  }

  /**
   * Tells that somebody here came or went, here and on the other replicas. False where nobody is told, for too many are there.
   * @param owed whoever was announced is also seen to leave
   */
  tell(room: Room, what: PresenceChange['what'], { kind }: Identity, info: ClientInfo, owed = false): boolean {
    const { elsewhere, upTo } = this.#options;
    const isVisible = kind === 'agent' || owed || room.members.size + elsewhere.people(room.name) <= upTo;
    const change = { what, info };
    // A room that only its agent is in does not know whether its members elsewhere are told.
    const isForOthers = isVisible && (room.joinLeave || kind === 'agent');
    elsewhere.changed(room.name, isForOthers ? change : undefined);
    if (!isVisible || !room.joinLeave) return false;
    push(room, change);
    return true;
  }

  /** On this replica, each connection once. */
  here(name: string): Here {
    const room = this.#options.rooms.get(name);
    const agents: ClientInfo[] = [];
    const people: ClientInfo[] = [];
    for (const client of room?.attached ?? []) agents.push(client.info);
    for (const member of room?.members.values() ?? [])
      if (member.state !== 'joining' && !room?.attached.has(member.client)) people.push(member.info);
    return { agents, people };
  }

  /** On all replicas; undefined where there are too many people to list them. */
  async everyone(name: string): Promise<ClientInfo[] | undefined> {
    const elsewhere = await this.#options.elsewhere.read(name);
    const { agents, people } = this.here(name);
    if (!elsewhere.list || people.length + elsewhere.people > this.#options.upTo) return undefined;
    return [...agents, ...people, ...elsewhere.list];
  }

  /** On all replicas, however many. */
  async counts(name: string): Promise<{ clients: number; users: number }> {
    const elsewhere = await this.#options.elsewhere.read(name);
    const { agents, people } = this.here(name);
    const users = new Set(elsewhere.users);
    for (const { user } of [...agents, ...people]) users.add(user);
    return { clients: agents.length + people.length + elsewhere.clients, users: users.size + elsewhere.moreUsers };
  }

  /** Ids of those in the room on all replicas; without those on replicas that have thousands of them. */
  async users(name: string): Promise<Set<string>> {
    const { users } = await this.#options.elsewhere.read(name);
    const { agents, people } = this.here(name);
    return new Set([...users, ...[...agents, ...people].map(({ user }) => user)]);
  }
}

const isTold = (room: Room | undefined): room is Room => room !== undefined && room.joinLeave && room.members.size > 0;

function push(room: Room | undefined, { what, info }: PresenceChange): void {
  if (isTold(room)) room.append(encodePresencePush(room.head, what, info));
}
