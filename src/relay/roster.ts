/** Who of other replicas the members of one room here were told of. */

import type { ClientInfo } from '../protocol/commands.ts';
import { nobody, type Elsewhere, type PresenceChange } from './presence.ts';
import { unite, type Entry } from './presenceEntry.ts';

interface Seen {
  info: ClientInfo;
  replica: string;
  /** False: has left; remembered until no reading can still know it as there. */
  isThere: boolean;
  /** `performance.now()` of the last word about it. */
  heardMs: number;
}

export interface Reading {
  /** `performance.now()` before the reading began: what was heard since is newer than what it says. */
  begunMs: number;
  /** What is missing in it has left; false while replicas may not have told anew what Redis lost. */
  isWhole: boolean;
  /** In a room with more people, here and elsewhere, their coming is not told. */
  peopleUpTo: number;
  /** People here. */
  peopleHere: number;
}

/** Two ways lead into it: the word of each change, fast and sometimes lost, and readings of everything, which mend that. */
export class Roster {
  /** By connection. */
  readonly #seen = new Map<string, Seen>();
  #counted: Elsewhere = nobody();
  /** All of them are known by name. */
  #isListed = true;
  /** `performance.now()` before the last reading began. */
  readMs = -Infinity;
  /** A member here was given a list without a reading: the first one then has to be told in full. */
  isOwed = false;

  /** All other replicas together: where all are listed, exactly what the members here were told. */
  get elsewhere(): Elsewhere {
    if (!this.#isListed) return { ...this.#counted, list: undefined };
    const list: ClientInfo[] = [];
    for (const { info, isThere } of this.#seen.values()) if (isThere) list.push(info);
    return { ...this.#counted, clients: list.length, users: new Set(list.map(({ user }) => user)), list };
  }

  get people(): number {
    return this.#counted.people;
  }

  /** True where the members here have to be told. */
  hear(replica: string, { what, info }: PresenceChange): boolean {
    const isThere = what === 'join';
    const isNews = (this.#seen.get(info.client)?.isThere ?? false) !== isThere;
    this.#seen.set(info.client, { info, replica, isThere, heardMs: performance.now() });
    // An agent counts as one of the people until the next reading.
    if (isNews) this.#counted.people = Math.max(0, this.#counted.people + (isThere ? 1 : -1));
    return isNews;
  }

  /** Takes in all other replicas' entries of the room; returns what the members here have to be told. */
  reconcile(entries: ReadonlyMap<string, Entry>, { begunMs, isWhole, peopleUpTo, peopleHere }: Reading): PresenceChange[] {
    const changes: PresenceChange[] = [];
    const there = new Set<string>();
    // Whoever came before the first reading asks for a list of its own.
    const isTold = this.isOwed || this.readMs !== -Infinity;
    this.isOwed = false;
    this.#counted = unite(entries.values());
    this.readMs = begunMs;
    const isSmall = this.people + peopleHere <= peopleUpTo;
    this.#isListed = isSmall && this.#counted.list !== undefined;

    for (const [replica, { agents, list = [] }] of entries) {
      for (const info of agents) there.add(info.client);
      for (const info of list) there.add(info.client);
      for (const info of isSmall ? [...agents, ...list] : agents) {
        const seen = this.#seen.get(info.client);
        if (seen && (seen.isThere || seen.heardMs >= begunMs)) continue;
        this.#seen.set(info.client, { info, replica, isThere: true, heardMs: begunMs });
        if (isTold) changes.push({ what: 'join', info });
      }
    }
    for (const [client, { info, replica, isThere, heardMs }] of this.#seen) {
      if (heardMs >= begunMs || there.has(client)) continue;
      // A replica with too many people to list them says itself when one of them leaves.
      const entry = entries.get(replica);
      const isUnlisted = entry !== undefined && entry.people > 0 && !entry.list;
      if (isThere && (isUnlisted || !isWhole)) continue;
      this.#seen.delete(client);
      if (isThere) changes.push({ what: 'leave', info });
    }
    return changes;
  }
}
