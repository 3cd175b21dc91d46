/** Positions and recent publications of `host:` rooms, from memory first, then from PostgreSQL. */

import { newestPublications } from '../data/history.ts';
import { MetricNames } from '../data/metricNames.ts';
import type { StoredFrame } from '../data/samples.ts';
import type { Sql } from '../db/database.ts';
import type { Range, Stream, StreamEntry, StreamPage } from '../hub/stream.ts';
import type { AgentPublication, Processes, Sample } from '../protocol/kinds.ts';
import { parseRoom } from '../protocol/rooms.ts';
import { newestRun, pick } from './run.ts';

/** What a host's stream holds: the contract recovers at most this many. */
const keptEntries = 300;
const maxHostBytes = 1024 * 1024;
const minHostBytes = 16 * 1024;
/** The same host's rows are not read again sooner; a hole in memory is mostly one that PostgreSQL has as well. */
const askEveryMs = 1_000;

export interface SampleStreamOptions {
  sql: Sql;
  /** Those that others learned already. */
  names?: MetricNames;
  /** All hosts together; each gets an equal part, at most 1 MiB. */
  maxBytes?: number;
  /** Beyond it, the host heard of longest ago is forgotten; PostgreSQL still has it. */
  maxHosts?: number;
}

interface Ring {
  boot: string;
  /** Ascending by offset; may have holes. */
  entries: StreamEntry[];
  bytes: number;
  sample: Sample | null;
  processes: Processes | null;
  askedMs: number;
}

export class SampleStream implements Stream {
  /** A position ahead of ours is the agent's word: this replica is behind. */
  readonly trustsAhead = true;
  readonly #sql: Sql;
  readonly #names: MetricNames;
  readonly #maxBytes: number;
  readonly #maxHosts: number;
  /** By host id, the one heard of longest ago first. */
  readonly #rings = new Map<string, Ring>();
  readonly #loading = new Map<string, Promise<void>>();

  constructor(options: SampleStreamOptions) {
    this.#sql = options.sql;
    this.#names = options.names ?? new MetricNames();
    this.#maxBytes = options.maxBytes ?? 128 * 1024 * 1024;
    this.#maxHosts = options.maxHosts ?? 10_000;
  }

  /** Takes in what a host published just now; `text` is the JSON of its data. A resend changes nothing. */
  add(host: string, publication: AgentPublication, text: string): void {
    const ring = this.#touch(host, publication.boot);
    this.#insert(ring, { offset: publication.seq, data: text });
    if (publication.kind === 'sample') {
      if (!ring.sample || ring.sample.boot !== publication.boot || publication.at > ring.sample.at) ring.sample = publication;
    } else if (!ring.processes || ring.processes.boot !== publication.boot || publication.at > ring.processes.at) {
      ring.processes = publication;
    }
  }

  /** The JSON of this publication where it is in memory. */
  find(host: string, boot: string, seq: number): string | undefined {
    const ring = this.#rings.get(host);
    if (ring?.boot !== boot || (ring.entries.at(-1)?.offset ?? 0) < seq) return undefined;
    return ring.entries.find((entry) => entry.offset === seq)?.data;
  }

  /** Whether this publication of the boot, or a later one, was heard. */
  reaches(host: string, boot: string, seq: number): boolean {
    const ring = this.#rings.get(host);
    return ring?.boot === boot && (ring.entries.at(-1)?.offset ?? 0) >= seq;
  }

  /** The newest publications of a host; complete once its room was read. */
  latest(host: string): { sample: Sample | null; processes: Processes | null } {
    const ring = this.#rings.get(host);
    return { sample: ring?.sample ?? null, processes: ring?.processes ?? null };
  }

  forget(host: string): void {
    this.#rings.delete(host);
  }

  async read(room: string, range: Range): Promise<StreamPage> {
    const host = parseRoom(room)?.id ?? '';
    const known = this.#rings.get(host);
    if (!known) await this.#load(host);
    else if (!covers(known, range) && performance.now() - known.askedMs > askEveryMs) {
      // Memory answers what it can while PostgreSQL is away.
      await this.#load(host).catch(() => undefined);
    }
    const ring = this.#rings.get(host);
    if (!ring) return { top: { offset: 0, epoch: '' }, entries: [] };
    const top = { offset: ring.entries.at(-1)?.offset ?? 0, epoch: ring.boot };
    const foreign = range.epoch !== undefined && range.epoch !== '' && range.epoch !== ring.boot;
    return { top, entries: foreign ? [] : pick(newestRun(ring.entries), range) };
  }

  #touch(host: string, boot: string): Ring {
    let ring = this.#rings.get(host);
    if (ring) this.#rings.delete(host);
    if (!ring || ring.boot !== boot) {
      ring = { boot, entries: [], bytes: 0, sample: ring?.sample ?? null, processes: ring?.processes ?? null, askedMs: -Infinity };
    }
    this.#rings.set(host, ring);
    if (this.#rings.size > this.#maxHosts) this.#rings.delete(this.#rings.keys().next().value!);
    return ring;
  }

  #insert(ring: Ring, entry: StreamEntry): void {
    const { entries } = ring;
    let at = entries.length;
    while (at > 0 && entries[at - 1]!.offset > entry.offset) at--;
    if (entries[at - 1]?.offset === entry.offset) return;
    if (at === entries.length) entries.push(entry);
    else entries.splice(at, 0, entry);
    ring.bytes += entry.data.length;
    const allowed = Math.min(maxHostBytes, Math.max(minHostBytes, this.#maxBytes / Math.max(1, this.#rings.size)));
    while (entries.length > keptEntries || (ring.bytes > allowed && entries.length > 1)) ring.bytes -= entries.shift()!.data.length;
  }

  /** Joins what PostgreSQL has to what memory has; however many ask at once, it is asked once. */
  #load(host: string): Promise<void> {
    let loading = this.#loading.get(host);
    if (!loading) {
      loading = newestPublications({ sql: this.#sql, names: this.#names }, host, keptEntries)
        .then((frames) => this.#merge(host, frames))
        .finally(() => this.#loading.delete(host));
      this.#loading.set(host, loading);
    }
    return loading;
  }

  #merge(host: string, frames: StoredFrame[]): void {
    const newest = frames[0];
    if (!newest) return;
    const ring = this.#touch(host, this.#rings.get(host)?.boot ?? newest.boot);
    ring.askedMs = performance.now();
    for (const frame of frames.filter((one) => one.boot === ring.boot).reverse()) {
      this.#insert(ring, { offset: frame.seq, data: frame.frame });
    }
    ring.sample ??= parseNewest<Sample>(frames, 'sample');
    ring.processes ??= parseNewest<Processes>(frames, 'processes');
  }
}

function parseNewest<T>(frames: StoredFrame[], kind: StoredFrame['kind']): T | null {
  const frame = frames.find((one) => one.kind === kind);
  return frame ? (JSON.parse(frame.frame) as T) : null;
}

/** Whether memory alone can answer: the newest run reaches back as far as the range asks. */
function covers(ring: Ring, range: Range): boolean {
  if (range.limit === 0 || (range.epoch && range.epoch !== ring.boot)) return true;
  const run = newestRun(ring.entries);
  const first = run[0]?.offset ?? Infinity;
  if (first === 1 || run.length >= keptEntries) return true;
  const top = run.at(-1)?.offset ?? 0;
  if (range.reverse) return first <= (range.since ?? top + 1) - Math.min(range.limit, keptEntries);
  return range.since !== undefined && first <= range.since + 1;
}
