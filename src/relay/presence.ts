/** Who is in the rooms on the other replicas: the contract, with the implementation for one replica alone. */

import type { ClientInfo } from '../protocol/commands.ts';
import type { RelayRecord } from './relay.ts';

/** Who is in a room on one replica. */
export interface Here {
  /** Members that do not subscribe. */
  agents: ClientInfo[];
  people: ClientInfo[];
}

export interface PresenceChange {
  what: 'join' | 'leave';
  info: ClientInfo;
}

/** The rooms of this replica, as presence asks for them. */
export interface RoomsOfPresence {
  /** All with somebody in them. */
  names(): Iterable<string>;
  here(room: string): Here;
  /** How many people's connections are in it here. */
  peopleHere(room: string): number;
  /** Whether somebody here is told of joins and leaves. */
  isTold(room: string): boolean;
  /** In a room with more people, all replicas together, their coming is not told. */
  readonly peopleUpTo: number;
  /** Somebody on another replica came or went. */
  tell(room: string, change: PresenceChange): void;
}

/** Who is in a room on all other replicas together. */
export interface Elsewhere {
  /** Connections. */
  clients: number;
  /** Those of people. */
  people: number;
  /** Users, each once. Where there are thousands, only `moreUsers` says how many more there are. */
  users: Set<string>;
  moreUsers: number;
  /** Undefined where a replica tells only how many there are. */
  list: ClientInfo[] | undefined;
}

/**
 * The contract: what a replica tells is known to the others within a second, and forgotten by them within 20 s after its death.
 * A replica that stands still for a few seconds stays known. No method throws or waits for what is away: then only those here count.
 */
export interface Presence {
  start(rooms: RoomsOfPresence): void;
  /** Somebody here came or went; with `change` those on other replicas are told. */
  changed(room: string, change?: PresenceChange): void;
  /** Takes what another replica published of a change in the room. */
  heard(room: string, record: RelayRecord): void;
  /** People in the room elsewhere, as last heard of; only for rooms whose members are told. */
  people(room: string): number;
  read(room: string): Promise<Elsewhere>;
  close(): Promise<void>;
}

export const nobody = (): Elsewhere => ({ clients: 0, people: 0, users: new Set(), moreUsers: 0, list: [] });

/** One replica alone: there is nobody elsewhere. */
export class MemoryPresence implements Presence {
  start(): void {}
  changed(): void {}
  heard(): void {}
  people(): number {
    return 0;
  }
  read(): Promise<Elsewhere> {
    return Promise.resolve(nobody());
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}
