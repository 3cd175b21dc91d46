/** Positions and recent publications of `room:` rooms: PostgreSQL, with the newest of each room kept for a moment. */

import { newestPublications, readPublications, readTops } from '../data/publications.ts';
import type { StoredPublication } from '../data/publications.ts';
import type { Sql } from '../db/database.ts';
import type { Range, Stream, StreamEntry, StreamPage } from '../hub/stream.ts';
import { Lookup } from '../lib/lookup.ts';
import { parseRoom } from '../protocol/rooms.ts';
import { pick } from './run.ts';

const keptEntries = 300;
const maxRoomBytes = 512 * 1024;
/** Rooms asked about beside the one that somebody wants to know of. */
const maxBeside = 500;

export interface ConversationStreamOptions {
  sql: Sql;
  /** The name of this life of the database, from its `hub` row. */
  epoch: string;
  /** So long a room's top is believed without asking again; posts of this process are known at once. */
  freshMs?: number;
  /** Beyond it, the room kept longest is forgotten. */
  maxRooms?: number;
}

/** The end of a room's publications, without a hole. */
interface Tail {
  top: number;
  /** Ascending, up to `top`; possibly none although there are some. */
  entries: StreamEntry[];
  bytes: number;
  freshUntilMs: number;
}

export class ConversationStream implements Stream {
  /** A position ahead of PostgreSQL's means that the database was restored. */
  readonly trustsAhead = false;
  readonly #sql: Sql;
  readonly #epoch: string;
  readonly #freshMs: number;
  readonly #maxRooms: number;
  readonly #tails = new Map<string, Tail>();
  /** The highest offset heard of, where a tail does not have it yet. */
  readonly #heard = new Map<string, number>();
  readonly #loading = new Map<string, Promise<Tail | undefined>>();
  /** Of rooms by id; nothing is kept here. */
  readonly #tops = new Lookup<number>({ load: (ids) => this.#readTops(ids), keepMs: () => 0, maxKept: 0 });

  constructor(options: ConversationStreamOptions) {
    this.#sql = options.sql;
    this.#epoch = options.epoch;
    this.#freshMs = options.freshMs ?? 1_000;
    this.#maxRooms = options.maxRooms ?? 2_000;
  }

  get epoch(): string {
    return this.#epoch;
  }

  /**
   * Takes in what was committed just now; to be called before it is published, in whatever order commits are heard of.
   * @param isDeletion it changed earlier publications too: what is kept of the room may hold what is gone
   */
  add(room: string, entry: StreamEntry, isDeletion = false): void {
    if (isDeletion) return this.forget(room);
    const tail = this.#tails.get(room);
    if (tail && entry.offset === tail.top + 1) append(tail, entry);
    else if (tail ? entry.offset > tail.top : this.#loading.has(room)) {
      this.#heard.set(room, Math.max(entry.offset, this.#heard.get(room) ?? 0));
    }
  }

  async read(room: string, range: Range): Promise<StreamPage> {
    const foreign = range.epoch !== undefined && range.epoch !== '' && range.epoch !== this.#epoch;
    // Whoever asks from beyond what is known here may come from a replica that heard more.
    const tail = (await this.#fresh(room, foreign ? 0 : (range.since ?? 0))) ?? { top: 0, entries: [] };
    const top = { offset: tail.top, epoch: this.#epoch };
    if (foreign || range.limit === 0 || tail.top === 0) return { top, entries: [] };
    const { since, limit, reverse = false } = range;
    if (!reverse && since !== undefined && since >= tail.top) return { top, entries: [] };
    const first = tail.entries[0]?.offset ?? Infinity;
    const needed = reverse ? Math.min(since ?? Infinity, tail.top + 1) - limit : (since ?? 0) + 1;
    if (first <= Math.max(needed, 1)) return { top, entries: pick(tail.entries, range) };
    const stored = await readPublications(this.#sql, idOf(room), {
      since: reverse ? 0 : (since ?? 0),
      top: reverse ? Math.min(tail.top, (since ?? Infinity) - 1) : tail.top,
      limit,
      reverse,
    });
    return { top, entries: stored.map(toEntry) };
  }

  /** What is being read while this is called is not kept: it may be what is to be forgotten. */
  forget(room: string): void {
    this.#tails.delete(room);
    this.#heard.delete(room);
    this.#loading.delete(room);
    this.#tops.forget(idOf(room));
  }

  /** The tail as it is believed now; asks twice where news came while the first answer was on its way. */
  async #fresh(room: string, since: number): Promise<Tail | undefined> {
    for (let attempt = 0; ; attempt++) {
      const tail = this.#tails.get(room);
      const isFresh = tail && tail.freshUntilMs > performance.now() && tail.top >= (this.#heard.get(room) ?? 0);
      if (isFresh && (tail.top >= since || attempt > 0)) return tail;
      // oxlint-disable-next-line no-await-in-loop -- the second question depends on the first answer
      const loaded = await this.#load(room);
      if (!loaded || attempt > 0 || loaded.top >= (this.#heard.get(room) ?? 0)) return loaded;
    }
  }

  /** However many ask at once, PostgreSQL is asked once. */
  #load(room: string): Promise<Tail | undefined> {
    const known = this.#loading.get(room);
    if (known) return known;
    const loading: Promise<Tail | undefined> = this.#readTail(room, () => this.#loading.get(room) === loading).finally(() => {
      if (this.#loading.get(room) === loading) this.#loading.delete(room);
    });
    this.#loading.set(room, loading);
    return loading;
  }

  async #readTail(room: string, isWanted: () => boolean): Promise<Tail | undefined> {
    const top = await this.#tops.get(idOf(room));
    if (top === undefined) {
      this.forget(room);
      return undefined;
    }
    const missing = Math.min(keptEntries, top - (this.#tails.get(room)?.top ?? 0));
    const newest = missing > 0 ? await newestPublications(this.#sql, idOf(room), top, missing) : [];
    // Looked up again: posts of this process may have moved it meanwhile.
    let tail = this.#tails.get(room);
    if (!tail || (newest[0] && newest[0].offset > tail.top + 1))
      tail = { top: top - newest.length, entries: [], bytes: 0, freshUntilMs: 0 };
    for (const stored of newest) if (stored.offset === tail.top + 1) append(tail, toEntry(stored));
    if (!isWanted()) return tail;
    tail.freshUntilMs = performance.now() + this.#freshMs;
    this.#tails.delete(room);
    this.#tails.set(room, tail);
    if (tail.top >= (this.#heard.get(room) ?? 0)) this.#heard.delete(room);
    if (this.#tails.size > this.#maxRooms) this.forget(this.#tails.keys().next().value!);
    return tail;
  }

  /**
   * Asks about the rooms known here in the same statement, so that readers of many rooms are no more statements than those of one.
   * Where one of these moved on, its next reader asks for what is new.
   */
  async #readTops(ids: readonly string[]): Promise<Map<string, number>> {
    const nowMs = performance.now();
    const beside: string[] = [];
    for (const [room, tail] of [...this.#tails].reverse()) {
      if (beside.length >= maxBeside) break;
      if (tail.freshUntilMs <= nowMs && !this.#loading.has(room)) beside.push(room);
    }
    const tops = await readTops(this.#sql, [...ids, ...beside.map(idOf)]);
    for (const room of beside) {
      const tail = this.#tails.get(room);
      if (tail && tail.top === tops.get(idOf(room))) tail.freshUntilMs = performance.now() + this.#freshMs;
    }
    return tops;
  }
}

function append(tail: Tail, entry: StreamEntry): void {
  tail.entries.push(entry);
  tail.top = entry.offset;
  tail.bytes += entry.data.length;
  while (tail.entries.length > keptEntries || tail.bytes > maxRoomBytes) {
    const oldest = tail.entries.shift();
    if (!oldest) return;
    tail.bytes -= oldest.data.length;
  }
}

const idOf = (room: string): string => parseRoom(room)?.id ?? room;

const toEntry = ({ offset, data, info }: StoredPublication): StreamEntry => (info === null ? { offset, data } : { offset, data, info });
