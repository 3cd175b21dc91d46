/** What memory has of one host: its newest publications, as far as they were heard or read. */

import type { Range, StreamEntry } from '../hub/stream.ts';
import type { AgentPublication, Processes, Sample } from '../protocol/kinds.ts';
import { newestRun } from './run.ts';

/** What a host's stream holds: the contract recovers at most this many. */
export const keptEntries = 300;

export interface Ring {
  /** Empty while nothing is known of the host. */
  boot: string;
  /** Ascending by offset; may have holes. */
  entries: StreamEntry[];
  bytes: number;
  sample: Sample | null;
  processes: Processes | null;
  /** `performance.now()` of the last publication, or of the last look into the cache. */
  heardMs: number;
  /** … of the last reading of all that the cache has. */
  gatheredMs: number;
  /** … of the last reading of PostgreSQL. */
  askedMs: number;
}

/** When the newest that was heard was taken; before everything where nothing was. */
export const newestAt = ({ sample, processes }: Ring): number => Math.max(sample?.at ?? -Infinity, processes?.at ?? -Infinity);

/** Whether it is a straggler: of an agent's start before the one that is known, and no newer than what that one sent. Boots are UUIDv7. */
export const isPast = (ring: Ring, { boot, at }: AgentPublication): boolean => ring.boot !== '' && boot < ring.boot && at <= newestAt(ring);

/** Keeps the publication as the newest of its kind if it is. */
export function note(ring: Ring, publication: AgentPublication): void {
  const { kind, boot, at } = publication;
  const isNewer = (known: AgentPublication | null): boolean => !known || known.boot !== boot || at > known.at;
  if (kind === 'sample') {
    if (isNewer(ring.sample)) ring.sample = publication;
  } else if (isNewer(ring.processes)) ring.processes = publication;
}

/** Whether memory alone can answer: the newest run reaches back as far as the range asks. */
export function covers(ring: Ring, range: Range): boolean {
  if (range.limit === 0 || (range.epoch && range.epoch !== ring.boot)) return true;
  const run = newestRun(ring.entries);
  const first = run[0]?.offset ?? Infinity;
  if (first === 1 || run.length >= keptEntries) return true;
  const top = run.at(-1)?.offset ?? 0;
  if (range.reverse) return first <= (range.since ?? top + 1) - Math.min(range.limit, keptEntries);
  return range.since !== undefined && first <= range.since + 1;
}
