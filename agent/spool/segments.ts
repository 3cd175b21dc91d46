/** The files of the journal: named by the number of their first record, so that their names sort as they were written. */

import {
  closeSync,
  fsync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  read,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findRecord, headBytes, maxPayloadBytes, type Stored } from './record.ts';

export interface Segment {
  /** The number of its first record. */
  base: number;
  path: string;
  /** What lies behind them was not written to the end. */
  bytes: number;
}

const digits = 16;
const chunkBytes = 32 * 1024;
const readAsync = promisify(read);

export const segmentName = (base: number): string => `${String(base).padStart(digits, '0')}.segment`;

/** Oldest first. Throws where the folder cannot be made or read. */
export function listSegments(folder: string): Segment[] {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const segments: Segment[] = [];
  for (const name of readdirSync(folder)) {
    const [, base] = /^(\d{16})\.segment$/.exec(name) ?? [];
    if (base === undefined) continue;
    const path = join(folder, name);
    const status = statSync(path, { throwIfNoEntry: false });
    if (status?.isFile()) segments.push({ base: Number(base), path, bytes: status.size });
  }
  return segments.toSorted((one, other) => one.base - other.base);
}

/** Deletes the file; what cannot be deleted stays and is sent again after a restart. True if it is gone. */
export function removeSegment({ path }: Segment): boolean {
  try {
    rmSync(path, { force: true });
    return true;
  } catch {
    return false;
  }
}

export interface Step {
  record: Stored | undefined;
  /** Where to go on; the segment's end where there is no record. */
  offset: number;
}

/** Reads records one after the other, a piece of the file at a time. */
export class SegmentReader {
  readonly segment: Segment;
  #data: Buffer = Buffer.alloc(0);
  /** Where in the file the piece begins. */
  #dataOffset = 0;
  #offset: number;
  /** Used for one piece after the other: records are copied out of it. */
  #buffer: Buffer = Buffer.alloc(0);

  constructor(segment: Segment, offset: number) {
    this.segment = segment;
    this.#offset = offset;
  }

  /** The next good record. Rejects with the file system's error. */
  async next(): Promise<Step> {
    for (;;) {
      const step = this.#step();
      if (typeof step !== 'number') return step;
      const { buffer, length } = this.#piece(step);
      const descriptor = openSync(this.segment.path, 'r');
      try {
        const { bytesRead } = await readAsync(descriptor, buffer, 0, length, this.#offset);
        this.#take(buffer, bytesRead);
      } finally {
        closeSync(descriptor);
      }
    }
  }

  /** The same at once, for what must not be interrupted. Throws the file system's error. */
  nextSync(): Step {
    for (;;) {
      const step = this.#step();
      if (typeof step !== 'number') return step;
      const { buffer, length } = this.#piece(step);
      const descriptor = openSync(this.segment.path, 'r');
      try {
        this.#take(buffer, readSync(descriptor, buffer, 0, length, this.#offset));
      } finally {
        closeSync(descriptor);
      }
    }
  }

  #piece(size: number): { buffer: Buffer; length: number } {
    const length = Math.min(size, this.segment.bytes - this.#offset);
    if (this.#buffer.length < length) this.#buffer = Buffer.alloc(Math.max(length, chunkBytes));
    return { buffer: this.#buffer, length };
  }

  #take(buffer: Buffer, count: number): void {
    this.#data = buffer.subarray(0, count);
    this.#dataOffset = this.#offset;
    // The file is shorter than it was: what is missing is lost.
    if (count === 0) this.#offset = this.segment.bytes;
  }

  /** A record, the end, or how many bytes to read. */
  #step(): Step | number {
    const from = this.#offset - this.#dataOffset;
    if (from < this.#data.length) {
      const found = findRecord(this.#data, from);
      if (found.record) {
        this.#offset = this.#dataOffset + found.end;
        return { record: found.record, offset: this.#offset };
      }
      const isLast = this.#dataOffset + this.#data.length >= this.segment.bytes;
      const stays = found.from === from;
      this.#offset = isLast ? this.segment.bytes : this.#dataOffset + found.from;
      // A record larger than the usual piece; one that does not even fit the largest is damage.
      if (!isLast && stays && this.#data.length - from > headBytes + maxPayloadBytes) this.#offset += 1;
      if (!isLast) return stays ? headBytes + maxPayloadBytes + 1 : chunkBytes;
    }
    return this.#offset >= this.segment.bytes ? { record: undefined, offset: this.segment.bytes } : chunkBytes;
  }
}

/** The first good record at or behind a place; undefined where none can be read. */
export function recordAt(segment: Segment, offset: number): Stored | undefined {
  try {
    return new SegmentReader(segment, offset).nextSync().record;
  } catch {
    return undefined;
  }
}

export const firstRecord = (segment: Segment): Stored | undefined => recordAt(segment, 0);

/** The segment that is written. */
export class SegmentWriter {
  readonly segment: Segment;
  readonly #descriptor: number;
  #isDirty = false;
  #syncing: Promise<void> | undefined;

  /** Throws the file system's error. */
  constructor(folder: string, base: number) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, segmentName(base));
    this.#descriptor = openSync(path, 'w', 0o600);
    this.segment = { base, path, bytes: 0 };
  }

  /** All of it or nothing. Throws the file system's error. */
  append(data: Buffer): void {
    const { segment } = this;
    let written = 0;
    try {
      // A full disk takes a part first and refuses then.
      while (written < data.length) {
        written += writeSync(this.#descriptor, data, written, data.length - written, segment.bytes + written);
      }
    } catch (error) {
      if (written > 0) ftruncateSync(this.#descriptor, segment.bytes);
      throw error;
    }
    segment.bytes += data.length;
    this.#isDirty = true;
  }

  /** Brings it to the disk itself, beside the event loop. Rejects with the file system's error. */
  sync(): Promise<void> {
    if (this.#syncing || !this.#isDirty) return this.#syncing ?? Promise.resolve();
    this.#isDirty = false;
    this.#syncing = promisify(fsync)(this.#descriptor).finally(() => {
      this.#syncing = undefined;
    });
    return this.#syncing;
  }

  /** Lets go of the file once it is on the disk. Rejects with the file system's error. */
  async close(): Promise<void> {
    try {
      await this.#syncing;
      await this.sync();
    } finally {
      closeSync(this.#descriptor);
    }
  }

  closeSync(): void {
    try {
      if (this.#isDirty) fsyncSync(this.#descriptor);
    } finally {
      // A sync under way still uses it; the process ends anyway.
      if (!this.#syncing) closeSync(this.#descriptor);
    }
  }
}
