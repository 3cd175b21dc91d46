/** What waits on disk: appended, read back in order, given up from its oldest end; never a reason to fail. */

import type { LossWhy } from '../../src/protocol/kinds.ts';
import type { Log } from '../log.ts';
import { Losses } from './losses.ts';
import { loadPosition, savePosition, type Place } from './position.ts';
import { encodeRecord, type Draft, type Stored } from './record.ts';
import { countOpen, readBatch, timeOf, type Batch } from './readBatch.ts';
import { firstRecord, listSegments, recordAt, removeSegment, SegmentReader, SegmentWriter, type Segment } from './segments.ts';
import { Trouble } from './trouble.ts';

export interface JournalOptions {
  folder: string;
  maxBytes: number;
  log: Log;
}

/** Where a record ended up. */
export interface Written {
  number: number;
  end: Place;
}

const smallestSegmentBytes = 64 * 1024;
/** Small, so that giving the oldest up holds no tick up. */
const largestSegmentBytes = 256 * 1024;
/** On a full disk the oldest segment makes room at most once in so many publications: others may be filling it. */
const publicationsPerRoom = 60;
/** Acknowledged out of order. One more than that is sent again, which is harmless. */
const maxSettled = 10_000;
const maxOffsets = 100;

const isFull = (error: unknown): boolean => /^(ENOSPC|EDQUOT)$/.test((error as NodeJS.ErrnoException).code ?? '');

export class Journal {
  readonly losses: Losses;
  readonly offsets: Map<string, number>;
  readonly #options: JournalOptions;
  readonly #segmentBytes: number;
  #segments: Segment[] = [];
  #firsts = new WeakMap<Segment, Stored | undefined>();
  #writer: SegmentWriter | undefined;
  #cursor: Place = { number: 1, base: 1, offset: 0 };
  /** The number of the next record. */
  #next = 1;
  /** The number of the first record of this process. */
  readonly #ownFrom: number;
  #owner: string | undefined;
  /** Committed though something before is not, with the place behind it. */
  readonly #settled = new Map<number, Place>();
  #isDirty = false;
  #sinceRoom = publicationsPerRoom;
  readonly #trouble: Trouble;
  #oldest: Stored | undefined;

  /** Takes up what an earlier process left. */
  constructor(options: JournalOptions) {
    this.#options = options;
    this.#segmentBytes = Math.max(smallestSegmentBytes, Math.min(largestSegmentBytes, Math.floor(options.maxBytes / 16)));
    this.#trouble = new Trouble(options.log);
    const position = loadPosition(options.folder);
    this.losses = new Losses(position?.untold);
    this.offsets = new Map(Object.entries(position?.offsets ?? {}));
    if (position) this.#cursor = { number: position.number, base: position.base, offset: position.offset };
    this.#owner = position?.owner;
    this.#trouble.attempt('opening', () => this.#open(position !== undefined));
    this.#ownFrom = this.#next;
  }

  /** Records not known to be committed; exact but for damage that was not read yet. */
  get waiting(): number {
    return this.#next - this.#cursor.number - this.#settled.size;
  }

  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.bytes, 0);
  }

  /** Why the last attempt to write failed, as the system's code; undefined while all is well. */
  get trouble(): string | undefined {
    return this.#trouble.code;
  }

  /** Of the oldest that waits; undefined where it cannot be read or nothing waits. */
  oldest(): Stored | undefined {
    const segment = this.#segments[0];
    if (!segment || this.waiting === 0) return undefined;
    if (!this.#oldest || this.#oldest.number < this.#cursor.number) {
      this.#oldest = recordAt(segment, segment.base === this.#cursor.base ? this.#cursor.offset : 0);
    }
    return this.#oldest;
  }

  /** Undefined where it could not be written: the disk is full, read-only, broken, or the publication too large. */
  append(draft: Draft, wallMs: number): Written | undefined {
    this.#sinceRoom += 1;
    const record = encodeRecord({ ...draft, number: this.#next, wallMs });
    if (!record) return undefined;
    while (this.bytes + record.length > this.#options.maxBytes && this.#segments.length > 1) this.#dropOldest('space');
    const write = (): void => this.#write(record);
    let isWritten = this.#trouble.attempt('writing', write, isFull);
    if (isWritten === 'spared' && this.#segments.length > 1 && this.#sinceRoom >= publicationsPerRoom) {
      this.#sinceRoom = 0;
      this.#dropOldest('disk_full');
      isWritten = this.#trouble.attempt('writing', write);
    } else if (isWritten === 'spared') isWritten = this.#trouble.attempt('writing', write);
    if (isWritten !== true) return undefined;
    const { base, bytes } = this.#writer!.segment;
    const number = this.#next;
    this.#next += 1;
    return { number, end: { number: this.#next, base, offset: bytes } };
  }

  /** The oldest records with a number below `limit`. Never rejects: what cannot be read counts as damaged. */
  async read(limit: number, maxCount: number, maxBytes: number): Promise<Batch> {
    for (;;) {
      const batch = await readBatch({
        segments: this.#segments,
        from: this.#cursor,
        next: () => this.#next,
        settled: this.#settled,
        limit,
        maxCount,
        maxBytes,
        unreadable: (error) => this.#trouble.tell('reading', error),
      });
      if (batch) return batch;
    }
  }

  /** The batch is committed, or refused for good. */
  forget({ end, damages }: Batch): void {
    // The limits may have taken them meanwhile.
    if (end.number <= this.#cursor.number) return;
    for (const { from, to, samples } of damages) this.losses.add('damaged', from, to, samples);
    this.#moveTo(end);
  }

  /** One record is committed, before what stands ahead of it. */
  settle({ number, end }: Written): void {
    if (number < this.#cursor.number || (number !== this.#cursor.number && this.#settled.size >= maxSettled)) return;
    this.#settled.set(number, end);
    let place: Place | undefined;
    for (let next = this.#cursor.number; this.#settled.has(next); next += 1) {
      place = this.#settled.get(next);
      this.#settled.delete(next);
    }
    if (place) this.#moveTo(place);
  }

  /** What earlier processes wrote for another host goes: this machine was enrolled anew. */
  belongTo(owner: string): void {
    if (this.#owner === owner) return;
    const isOthers = this.#owner !== undefined && this.#cursor.number < this.#ownFrom;
    this.#owner = owner;
    this.#isDirty = true;
    if (!isOthers) return;
    const count = this.#ownFrom - this.#cursor.number;
    this.#options.log.warn('this machine is another host now; what it kept as the one before is dropped', { count });
    // A process begins with a segment of its own.
    this.#moveTo({ number: this.#ownFrom, base: this.#ownFrom, offset: 0 });
  }

  /** Drops whole segments as long as their newest record is so old. */
  dropWhere(isTooOld: (record: Stored) => boolean): void {
    for (let second = this.#segments[1]; second; second = this.#segments[1]) {
      if (!this.#firsts.has(second)) this.#firsts.set(second, firstRecord(second));
      const first = this.#firsts.get(second);
      if (!first || !isTooOld(first)) return;
      this.#dropOldest('age');
    }
  }

  /** Once a second: what was written to the disk itself, what was acknowledged to the position. */
  async keep(): Promise<void> {
    this.#savePosition();
    await this.#writer?.sync().catch((error: unknown) => this.#trouble.tell('bringing to the disk', error));
  }

  /** To be saved with the position. */
  changed(): void {
    this.#isDirty = true;
  }

  close(): void {
    this.#savePosition();
    this.#trouble.attempt('closing', () => this.#writer?.closeSync());
    this.#writer = undefined;
  }

  #open(isPositionKnown: boolean): void {
    for (const segment of listSegments(this.#options.folder)) {
      if (segment.base < this.#cursor.base || segment.bytes === 0) removeSegment(segment);
      else this.#segments.push(segment);
    }
    this.#next = this.#cursor.number;
    const [first] = this.#segments;
    if (!first) return;
    const { number, base, offset } = this.#cursor;
    if (!isPositionKnown) this.#cursor = { number: first.base, base: first.base, offset: 0 };
    // What is missing between the position and the first record is lost.
    else if (first.base > base) this.#cursor = { number: Math.min(number, first.base), base: first.base, offset: 0 };
    else this.#cursor = { number, base, offset: Math.min(offset, first.bytes) };
    this.#next = Math.max(this.#next, this.#endOf(this.#segments.at(-1)!));
  }

  /** The number behind the last record of a segment; what follows its last good record counts as one. */
  #endOf(segment: Segment): number {
    const reader = new SegmentReader(segment, 0);
    let number = segment.base;
    let end = 0;
    for (let step = reader.nextSync(); step.record; step = reader.nextSync()) {
      number = Math.max(number, step.record.number + 1);
      end = step.offset;
    }
    return end < segment.bytes ? number + 1 : number;
  }

  #write(record: Buffer): void {
    if (this.#writer && this.#writer.segment.bytes + record.length > this.#segmentBytes) this.#closeWriter();
    if (!this.#writer) {
      this.#writer = new SegmentWriter(this.#options.folder, this.#next);
      this.#segments.push(this.#writer.segment);
      this.#isDirty = true;
    }
    this.#writer.append(record);
  }

  #closeWriter(): void {
    this.#writer?.close().catch((error: unknown) => this.#trouble.tell('closing', error));
    this.#writer = undefined;
  }

  #moveTo(place: Place): void {
    for (const number of this.#settled.keys()) if (number < place.number) this.#settled.delete(number);
    this.#cursor = place;
    this.#isDirty = true;
    const isEmpty = place.number >= this.#next;
    if (isEmpty) {
      this.#closeWriter();
      this.#cursor = { number: this.#next, base: this.#next, offset: 0 };
      this.offsets.clear();
    }
    if (!isEmpty && this.#segments[0]?.base === place.base) return;
    // First, so that what is gone is never taken for lost.
    this.#savePosition();
    while (this.#segments[0] && (isEmpty || this.#segments[0].base < place.base)) removeSegment(this.#segments.shift()!);
  }

  /** Never the one that is written. Its samples are counted; what is damaged in it too. */
  #dropOldest(why: LossWhy): void {
    const [segment, second] = this.#segments;
    if (!segment || !second) return;
    let samples = 0;
    let records = 0;
    let first: Stored | undefined;
    let last: Stored | undefined;
    this.#trouble.attempt('reading', () => {
      const reader = new SegmentReader(segment, segment.base === this.#cursor.base ? this.#cursor.offset : 0);
      for (let { record } = reader.nextSync(); record; { record } = reader.nextSync()) {
        if (record.number < this.#cursor.number || this.#settled.has(record.number)) continue;
        first ??= record;
        last = record;
        records += 1;
        if (record.kind === 'sample') samples += 1;
      }
    });
    const open = countOpen(this.#cursor.number, second.base, this.#settled);
    const from = first ? timeOf(first) : Date.now();
    const to = last ? timeOf(last) : from;
    this.losses.add(why, from, to, samples);
    this.losses.add('damaged', from, to, open - records);
    this.#moveTo({ number: Math.max(this.#cursor.number, second.base), base: second.base, offset: 0 });
  }

  #savePosition(): void {
    if (!this.#isDirty) return;
    const offsets = Object.fromEntries([...this.offsets].slice(-maxOffsets));
    const position = { ...this.#cursor, owner: this.#owner, offsets, untold: this.losses.untold };
    if (this.#trouble.attempt('keeping the position', () => savePosition(this.#options.folder, position)) === true) this.#isDirty = false;
  }
}
