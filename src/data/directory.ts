/** Knows who is who and what is where, from memory for a while: what a thousand reconnects ask at once is a few statements. */

import type { Sql } from '../db/database.ts';
import { Lookup, type LookupOptions } from '../lib/lookup.ts';
import type { Role } from '../protocol/rest.ts';
import { findRoles, readGroupsNow, roomsById } from './groups.ts';
import type { Asker, RoomPlace } from './groups.ts';
import { findHostKeys, hostsById } from './hosts.ts';
import type { HostKey, HostPlace } from './hosts.ts';
import { findSessions } from './sessions.ts';
import type { SessionHolder } from './sessions.ts';
import type { HostNow } from './presence.ts';

/** The things it knows of, as the metrics name them. */
export type DirectoryPart = 'session' | 'agent_key' | 'role' | 'host' | 'room' | 'group';

export interface DirectoryOptions {
  sql: Sql;
  /** False while what other replicas change is not heard of here: then answers are believed for a moment only. */
  hearsOthers?(): boolean;
  /** Told of each question. */
  asked?(part: DirectoryPart, result: 'kept' | 'loaded'): void;
  keepMs?: number;
}

/**
 * As long as an access token lives: a change of rights that was told to nobody (its notice was lost) ends with it. Whoever renews
 * theirs asks anew.
 */
const keepMs = 10 * 60_000;
/** What a fleet room shows of hosts without an agent here. */
const keepGroupMs = 10_000;
const keepUnheardMs = 2_000;
/** A crowd that comes to a replica which has not met it asks some 20 times a second, however many they are. */
const gatherMs = 50;

export class Directory {
  readonly #sessions: Lookup<SessionHolder>;
  readonly #keys: Lookup<HostKey>;
  readonly #roles: Lookup<Role>;
  readonly #hosts: Lookup<HostPlace>;
  readonly #rooms: Lookup<RoomPlace>;
  readonly #groups: Lookup<HostNow[]>;

  constructor({ sql, hearsOthers = () => true, asked, keepMs: mostMs = keepMs }: DirectoryOptions) {
    const lookup = <V>(part: DirectoryPart, maxKept: number, ownMs: number, load: LookupOptions<V>['load']): Lookup<V> =>
      new Lookup({
        load,
        maxKept,
        gatherMs,
        keepMs: () => Math.min(ownMs, mostMs, hearsOthers() ? Infinity : keepUnheardMs),
        asked: (result) => asked?.(part, result),
      });
    this.#sessions = lookup('session', 20_000, keepMs, (ids) => findSessions(sql, ids));
    this.#keys = lookup('agent_key', 20_000, keepMs, (ids) => findHostKeys(sql, ids));
    this.#roles = lookup('role', 50_000, keepMs, (keys) => loadRoles(sql, keys));
    this.#hosts = lookup('host', 10_000, keepMs, (ids) => hostsById(sql, ids));
    this.#rooms = lookup('room', 10_000, keepMs, (ids) => roomsById(sql, ids));
    this.#groups = lookup('group', 1_000, keepGroupMs, (ids) => readGroupsNow(sql, ids));
  }

  /** Whose living session it is; undefined once it ended. */
  session(id: string): Promise<SessionHolder | undefined> {
    return this.#sessions.get(id);
  }

  hostKey(host: string): Promise<HostKey | undefined> {
    return this.#keys.get(host);
  }

  /** A token does not fit the key: perhaps there is another one by now. */
  doubtKey(host: string): void {
    this.#keys.forget(host);
  }

  /** The role on a group that exists; an admin is owner of every one. */
  async roleIn(asker: Asker, group: string): Promise<Role | undefined> {
    return asker.admin ? 'owner' : this.#roles.get(`${asker.id} ${group}`);
  }

  host(id: string): Promise<HostPlace | undefined> {
    return this.#hosts.get(id);
  }

  room(id: string): Promise<RoomPlace | undefined> {
    return this.#rooms.get(id);
  }

  /** How the hosts of a group stand as far as PostgreSQL knows; undefined where there is no such group. */
  groupNow(id: string): Promise<HostNow[] | undefined> {
    return this.#groups.get(id);
  }

  sessionsEnded(sessions: readonly string[]): void {
    for (const session of sessions) this.#sessions.forget(session);
  }

  /** Roles, name, or being an admin. */
  personChanged(person: string): void {
    this.#sessions.forgetWhere((session) => session.person === person);
    this.#roles.forgetWhere((_role, key) => key.startsWith(`${person} `));
  }

  /** Name, key, inventory, or whether its agent is connected; or it is no more. */
  hostChanged(host: string): void {
    this.#keys.forget(host);
    this.#hosts.forget(host);
    this.#rooms.forget(host);
    this.#groups.forgetWhere((hosts) => hosts.some(({ id }) => id === host));
  }

  /** Perhaps something changed that nobody told. */
  forgetAll(): void {
    for (const lookup of [this.#sessions, this.#keys, this.#roles, this.#hosts, this.#rooms, this.#groups]) lookup.forgetAll();
  }
}

async function loadRoles(sql: Sql, keys: readonly string[]): Promise<Map<string, Role>> {
  const pairs = keys.map((key) => key.split(' ') as [person: string, group: string]);
  const rows = await findRoles(sql, pairs);
  return new Map(rows.map(({ person, group, role }) => [`${person} ${group}`, role]));
}
