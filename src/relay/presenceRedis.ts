/** Presence over Redis: tells the other replicas who is in the rooms here, and the members here who is in them there. */

import { Lookup } from '../lib/lookup.ts';
import { nobody, type Elsewhere, type Presence, type PresenceChange, type RoomsOfPresence } from './presence.ts';
import { encodeChange, encodeEntry, parseChange, parseEntry, unite, type Entry } from './presenceEntry.ts';
import { PresenceStore } from './presenceStore.ts';
import type { RedisLink } from './redisLink.ts';
import type { Relay, RelayRecord } from './relay.ts';
import { Roster } from './roster.ts';

export interface RedisPresenceOptions {
  link: RedisLink;
  /** Tells the changes to the other replicas. */
  relay: Pick<Relay, 'publish'>;
  /** The id of this process. */
  replica: string;
  /** Changes that were not told, or entries and changes that nobody of ours wrote. */
  dropped: (what: 'presence_change' | 'presence_entry', count?: number) => void;
  failed: (error: unknown, what: string) => void;
  times?: Partial<typeof defaultTimes>;
}

const defaultTimes = {
  /** So long a replica is known after its last word. */
  ttlMs: 15_000,
  /** Between two words, and between two readings of the rooms whose members are told; a fifth more or less. */
  refreshMs: 2_500,
  /** Changes within it are written together. */
  gatherMs: 100,
  /** So long after Redis was away all replicas have connected again, and told it what it lost. */
  settleMs: 7_500,
};
/** So long a reading answers for rooms that nobody here is told of. */
const keepMs = 500;
/** Changes that wait to be told. */
const maxPending = 10_000;
/** Rooms written together. */
const maxWritten = 1_000;

export class RedisPresence implements Presence {
  readonly #options: RedisPresenceOptions;
  readonly #times: typeof defaultTimes;
  readonly #store: PresenceStore;
  /** Of rooms whose members are told. */
  readonly #rosters = new Map<string, Roster>();
  /** Rooms whose entry in Redis is not what is here. */
  readonly #dirty = new Set<string>();
  /** How often everything was to be told anew, for Redis may have lost some of it; and up to which time that was done. */
  #anew = 0;
  #toldAnew = 0;
  #isFailing = false;
  #pending: { room: string; change: PresenceChange }[] = [];
  readonly #readings: Lookup<Elsewhere>;
  #rooms: RoomsOfPresence | undefined;
  #gathering: NodeJS.Timeout | undefined;
  #ticking: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #lastWriteMs = -Infinity;
  /** `performance.now()` from when whoever is missing in a reading has left: then all replicas have told anew what Redis lost. */
  #wholeFromMs = Infinity;
  #isClosed = false;

  constructor(options: RedisPresenceOptions) {
    this.#options = options;
    this.#times = { ...defaultTimes, ...options.times };
    this.#store = new PresenceStore(options.link, options.replica, this.#times.ttlMs);
    this.#readings = new Lookup({ load: (rooms) => this.#answer(rooms), keepMs: () => keepMs, maxKept: 1_000 });
  }

  start(rooms: RoomsOfPresence): void {
    this.#rooms = rooms;
    const { link } = this.#options;
    link.onAway(() => (this.#wholeFromMs = Infinity));
    link.onBack(() => {
      // A subscription that was cut for a moment has lost words, not entries.
      if (this.#wholeFromMs === Infinity) this.#tellAnew();
      else this.#gather();
    });
    if (!link.isAway) this.#tellAnew();
    this.#tickLater();
  }

  changed(room: string, change?: PresenceChange): void {
    // A person's own room is nobody else's to know.
    if (room.startsWith('user:')) return;
    this.#dirty.add(room);
    this.#readings.forget(room);
    if (change && this.#pending.push({ room, change }) > maxPending) {
      this.#pending.shift();
      this.#options.dropped('presence_change');
    }
    this.#gather();
  }

  heard(room: string, record: RelayRecord): void {
    const told = parseChange(record);
    if (!told) return this.#options.dropped('presence_entry');
    if (!this.#rooms?.isTold(room)) return;
    if (this.#rosterOf(room).hear(told.replica, told.change)) this.#rooms.tell(room, told.change);
  }

  people(room: string): number {
    return this.#lastKnown(room)?.people ?? 0;
  }

  async read(room: string): Promise<Elsewhere> {
    const read = this.#options.link.isAway ? undefined : await this.#readings.get(room);
    // Whoever asks from a room is told of all changes to exactly the list that its members here know.
    const known = this.#lastKnown(room)?.elsewhere;
    if (!known && this.#rooms?.isTold(room)) this.#rosterOf(room).isOwed = true;
    return known ?? read ?? nobody();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#ticking);
    clearTimeout(this.#gathering);
    await this.#writing;
    if (!this.#options.link.isAway) {
      await this.#write();
      await this.#store.leave().catch((error: unknown) => this.#options.failed(error, 'taking this replica out of presence'));
    }
  }

  /** Redis may have lost everything; it takes a while until each replica has told it anew. */
  #tellAnew(): void {
    this.#wholeFromMs = performance.now() + this.#times.settleMs;
    this.#anew++;
    for (const room of this.#rooms?.names() ?? []) this.changed(room);
    this.#gather();
  }

  #tickLater(): void {
    const waitMs = this.#times.refreshMs * (0.8 + 0.4 * Math.random());
    this.#ticking = setTimeout(() => void this.#tick().finally(() => this.#isClosed || this.#tickLater()), waitMs);
  }

  async #tick(): Promise<void> {
    const told = [...this.#rosters.keys()];
    for (const room of told) if (!this.#rooms?.isTold(room)) this.#rosters.delete(room);
    if (this.#options.link.isAway) return;
    try {
      if (!(await this.#store.refresh())) this.#tellAnew();
      if (this.#dirty.size > 0) this.#gather();
      if (this.#rosters.size > 0) await this.#read([...this.#rosters.keys()]);
    } catch (error) {
      this.#fail(error, 'refreshing presence');
    }
  }

  /** The first change after a while goes out at the end of the turn, those right behind it together. */
  #gather(): void {
    if (this.#gathering || this.#writing || this.#isClosed) return;
    const waitMs = Math.max(0, this.#lastWriteMs + this.#times.gatherMs - performance.now());
    this.#gathering = setTimeout(() => {
      this.#gathering = undefined;
      this.#writing = this.#write().then((isWritten) => {
        this.#writing = undefined;
        // What failed is tried again with the next tick.
        if (isWritten && this.#dirty.size > 0) this.#gather();
      });
    }, waitMs);
  }

  /** Entries first, then the word of the changes: a reading after that word knows of them. False where it failed. */
  async #write(): Promise<boolean> {
    this.#lastWriteMs = performance.now();
    const pending = this.#pending;
    const rooms = [...this.#dirty];
    const anew = this.#anew;
    this.#pending = [];
    this.#dirty.clear();
    try {
      if (this.#options.link.isAway) throw new Error('Redis is away');
      for (let from = 0; from < rooms.length; from += maxWritten) {
        const some = rooms.slice(from, from + maxWritten);
        // oxlint-disable-next-line no-await-in-loop -- one bounded batch after the other
        await this.#store.write(some.map((room) => [room, encodeEntry(this.#rooms!.here(room))]));
      }
      if (anew > this.#toldAnew) await this.#store.markComplete();
      this.#toldAnew = anew;
      const { relay, replica } = this.#options;
      for (const { room, change } of pending) relay.publish(room, encodeChange(replica, change));
      await this.#read(rooms.filter((room) => this.#rooms!.isTold(room)));
      this.#isFailing = false;
      return true;
    } catch (error) {
      // Told when Redis is back; the others find in their next reading what changed.
      for (const room of rooms) this.#dirty.add(room);
      if (pending.length > 0) this.#options.dropped('presence_change', pending.length);
      if (!this.#options.link.isAway) this.#fail(error, 'telling who is in the rooms');
      return false;
    }
  }

  /** Tells the first failure of those that follow each other. */
  #fail(error: unknown, what: string): void {
    if (!this.#isFailing) this.#options.failed(error, what);
    this.#isFailing = true;
  }

  async #answer(rooms: readonly string[]): Promise<ReadonlyMap<string, Elsewhere>> {
    try {
      return await this.#read(rooms);
    } catch (error) {
      this.#fail(error, 'reading who is in rooms on other replicas');
      return new Map();
    }
  }

  /** Reads the rooms' other members; those here who are told of changes are told what is new. */
  async #read(rooms: readonly string[]): Promise<ReadonlyMap<string, Elsewhere>> {
    const all = new Map<string, Elsewhere>();
    if (rooms.length === 0) return all;
    const begunMs = performance.now();
    const { found, isComplete } = await this.#store.read(rooms);
    // Before anyone who is missing in it counts as having left.
    if (!isComplete && this.#anew === this.#toldAnew) this.#tellAnew();
    rooms.forEach((room, index) => {
      const entries = new Map<string, Entry>();
      for (const [replica, texts] of found) {
        const text = texts[index] ?? null;
        const entry = text === null ? undefined : parseEntry(text);
        if (entry) entries.set(replica, entry);
        else if (text !== null) this.#options.dropped('presence_entry');
      }
      if (this.#rooms!.isTold(room)) this.#reconcile(room, entries, begunMs);
      all.set(room, unite(entries.values()));
    });
    return all;
  }

  #reconcile(room: string, entries: ReadonlyMap<string, Entry>, begunMs: number): void {
    const changes = this.#rosterOf(room).reconcile(entries, {
      begunMs,
      isWhole: begunMs >= this.#wholeFromMs,
      peopleUpTo: this.#rooms!.peopleUpTo,
      peopleHere: this.#rooms!.peopleHere(room),
    });
    for (const change of changes) this.#rooms!.tell(room, change);
  }

  #rosterOf(room: string): Roster {
    let roster = this.#rosters.get(room);
    if (!roster) this.#rosters.set(room, (roster = new Roster()));
    return roster;
  }

  /** What was read not longer ago than a replica may be silent. */
  #lastKnown(room: string): Roster | undefined {
    const roster = this.#rosters.get(room);
    return roster && performance.now() - roster.readMs < this.#times.ttlMs ? roster : undefined;
  }
}
