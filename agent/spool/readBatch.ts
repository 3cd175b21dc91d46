/** Reads what waits on disk, in order, as much as one backfill takes. */

import type { Place } from './position.ts';
import type { Stored } from './record.ts';
import { firstRecord, SegmentReader, type Segment } from './segments.ts';

export interface Batch {
  records: Stored[];
  /** The journal goes on here once they are committed. */
  end: Place;
  /** Found missing on the way. */
  damages: { from: number; to: number; samples: number }[];
}

export interface Reading {
  /** Oldest first; may grow and shrink while it is read. */
  segments: readonly Segment[];
  from: Place;
  /** The number that the next record will get. */
  next: () => number;
  /** To be stepped over. */
  settled: ReadonlyMap<number, unknown>;
  /** Only records with a lower number. */
  limit: number;
  maxCount: number;
  maxBytes: number;
  unreadable: (error: unknown) => void;
}

/** When a record was taken: hub time, or else this machine's idea of it. */
export const timeOf = (record: Stored): number => record.at ?? Math.round(record.wallMs);

/** How many of these numbers are not settled. */
export function countOpen(from: number, until: number, settled: ReadonlyMap<number, unknown>): number {
  let count = Math.max(0, until - from);
  for (const number of settled.keys()) if (number >= from && number < until) count -= 1;
  return count;
}

/** Undefined where the limits dropped a segment while it was read: read again. */
export async function readBatch(reading: Reading): Promise<Batch | undefined> {
  const { segments, settled, limit, maxCount, maxBytes } = reading;
  let { number, base, offset } = reading.from;
  const batch: Batch = { records: [], end: reading.from, damages: [] };
  let last: Stored | undefined;
  let bytes = 0;
  const upTo = (until: number, found?: Stored): void => {
    const samples = countOpen(number, until, settled);
    number = Math.max(number, until);
    const near = last ?? found;
    const at = near ? timeOf(near) : Date.now();
    if (samples > 0) batch.damages.push({ from: at, to: found ? timeOf(found) : at, samples });
  };
  for (;;) {
    const segment = segments.find((one) => one.base >= base);
    if (!segment) break;
    if (segment.base !== base) {
      upTo(Math.min(segment.base, limit), firstRecord(segment));
      ({ base } = segment);
      offset = 0;
    }
    const reader = new SegmentReader(segment, offset);
    for (;;) {
      const step = await reader.next().catch((error: unknown) => error as Error);
      if (!segments.includes(segment)) return undefined;
      if (step instanceof Error) {
        reading.unreadable(step);
        offset = segment.bytes;
        break;
      }
      const { record } = step;
      if (!record) {
        ({ offset } = step);
        break;
      }
      if (record.number >= limit || batch.records.length >= maxCount || (bytes > 0 && bytes + record.body.length > maxBytes)) {
        upTo(Math.min(record.number, limit), record);
        batch.end = { number, base, offset };
        return batch;
      }
      upTo(record.number, record);
      number = Math.max(number, record.number + 1);
      ({ offset } = step);
      last = record;
      if (settled.has(record.number)) continue;
      batch.records.push(record);
      bytes += record.body.length;
    }
    if (segment === segments.at(-1)) break;
    // Where this one held a single record the next bears this very number.
    base += 1;
    offset = 0;
  }
  upTo(Math.min(limit, reading.next()));
  batch.end = { number, base, offset };
  return batch;
}
