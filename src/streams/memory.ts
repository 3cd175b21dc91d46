/** Streams kept in memory, which give the positions themselves: for the conformance server and for tests. */

import { randomBytes } from 'node:crypto';
import type { Range, Stream, StreamEntry, StreamPage } from '../hub/stream.ts';
import { oneLine } from '../lib/json.ts';
import type { RelayRecord } from '../relay/relay.ts';
import { pick } from './run.ts';

export interface MemoryStreamsOptions {
  /** Publications kept per room. */
  size: number;
  /** How long each is kept. */
  ttlMs: number;
  /** How long a room's epoch and top outlive its last publication. */
  metaTtlMs?: number;
  /** Rooms kept; beyond, the one that was added to least recently is forgotten, and begins anew with another epoch. */
  maxRooms?: number;
  now?: () => number;
}

interface Kept extends StreamEntry {
  at: number;
}

interface Room {
  epoch: string;
  top: number;
  entries: Kept[];
  touchedAt: number;
}

/** One object serves all rooms; each begins at offset 0 with an epoch of its own when first asked for. */
export class MemoryStreams implements Stream {
  readonly trustsAhead = false;
  readonly #rooms = new Map<string, Room>();
  readonly #options: Required<MemoryStreamsOptions>;

  constructor(options: MemoryStreamsOptions) {
    this.#options = { metaTtlMs: Math.max(options.ttlMs * 10, 3_600_000), maxRooms: 10_000, now: Date.now, ...options };
  }

  /**
   * Appends to the room and gives the record its position, ready to be published.
   * @param data JSON text
   * @param info JSON text of the publisher's ClientInfo
   */
  add(room: string, data: string, info?: string): RelayRecord {
    const kept = this.#room(room);
    const entry: Kept = { offset: ++kept.top, data: oneLine(data), info, at: kept.touchedAt };
    kept.entries.push(entry);
    if (kept.entries.length > this.#options.size) kept.entries.shift();
    // Moves it behind the others, so that the first of the map is the one to forget.
    this.#rooms.delete(room);
    this.#rooms.set(room, kept);
    return { data: entry.data, offset: entry.offset, epoch: kept.epoch, info };
  }

  /** Gives the room another epoch and nothing in it, as a restored source would have. */
  reset(room: string): void {
    this.#rooms.delete(room);
  }

  async read(room: string, range: Range): Promise<StreamPage> {
    const { epoch, top, entries } = this.#room(room);
    const isForeign = range.epoch !== undefined && range.epoch !== '' && range.epoch !== epoch;
    return { top: { epoch, offset: top }, entries: isForeign ? [] : pick(entries, range) };
  }

  /** The room as it is now, made if there is none, without what has outlived its time. */
  #room(name: string): Room {
    const now = this.#options.now();
    let room = this.#rooms.get(name);
    if (room && now - room.touchedAt > this.#options.metaTtlMs) room = undefined;
    if (!room) {
      this.#rooms.delete(name);
      room = { epoch: randomBytes(4).toString('hex'), top: 0, entries: [], touchedAt: now };
      this.#rooms.set(name, room);
      if (this.#rooms.size > this.#options.maxRooms) for (const oldest of this.#rooms.keys()) if (this.#rooms.delete(oldest)) break;
    }
    let gone = 0;
    while (gone < room.entries.length && now - room.entries[gone]!.at > this.#options.ttlMs) gone++;
    if (gone > 0) room.entries.splice(0, gone);
    room.touchedAt = now;
    return room;
  }
}
