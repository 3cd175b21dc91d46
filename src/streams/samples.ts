/** Positions and recent publications of `host:` rooms, from memory first, then from the replicas' cache, then from PostgreSQL. */

import { newestPublications } from '../data/history.ts';
import { MetricNames } from '../data/metricNames.ts';
import { framesBeyond } from '../data/missed.ts';
import type { Sql } from '../db/database.ts';
import type { Range, Stream, StreamEntry, StreamPage } from '../hub/stream.ts';
import { tryParse } from '../lib/json.ts';
import { checkAgentPublication } from '../protocol/checks.ts';
import type { Position } from '../protocol/commands.ts';
import type { AgentPublication, Processes, Sample } from '../protocol/kinds.ts';
import { parseRoom } from '../protocol/rooms.ts';
import type { RecentSamples } from '../relay/recentSamples.ts';
import { covers, isPast, keptEntries, newestAt, note } from './hostRing.ts';
import type { Ring } from './hostRing.ts';
import { newestRun, pick } from './run.ts';

const maxHostBytes = 1024 * 1024;
const minHostBytes = 16 * 1024;
/** The same host's rows are not read again sooner; a hole in memory is mostly one that PostgreSQL has as well. */
const askEveryMs = 1_000;
/** What came within so long is read alone where the rest is known. */
const littleMs = 60_000;
/** Asked of the cache where only the newest is wanted: with the last list of processes, which comes every 10 s. */
const glance = 12;

export interface SampleStreamOptions {
  sql: Sql;
  /** Those that others learned already. */
  names?: MetricNames;
  /** The cache that all replicas fill; absent where there is one replica, which then has heard everything itself. */
  recent?: Pick<RecentSamples, 'read' | 'forget'>;
  /** With it: a host not heard of for so long may have gone on elsewhere. */
  freshMs?: number;
  /** All hosts together; each gets an equal part, at most 1 MiB. */
  maxBytes?: number;
  /** Beyond it, the host heard of longest ago is forgotten; PostgreSQL still has it. */
  maxHosts?: number;
}

/** A publication with its text, as it comes from a cache. */
interface Found {
  publication: AgentPublication;
  text: string;
}

export class SampleStream implements Stream {
  /** A position ahead of ours is the agent's word: this replica is behind. */
  readonly trustsAhead = true;
  readonly #sql: Sql;
  readonly #names: MetricNames;
  readonly #recent: Pick<RecentSamples, 'read' | 'forget'> | undefined;
  readonly #freshMs: number;
  readonly #maxBytes: number;
  readonly #maxHosts: number;
  /** By host id, the one heard of longest ago first. */
  readonly #rings = new Map<string, Ring>();
  readonly #loading = new Map<string, Promise<void>>();

  constructor(options: SampleStreamOptions) {
    this.#sql = options.sql;
    this.#names = options.names ?? new MetricNames();
    this.#recent = options.recent;
    this.#freshMs = options.freshMs ?? 1_500;
    this.#maxBytes = options.maxBytes ?? 128 * 1024 * 1024;
    this.#maxHosts = options.maxHosts ?? 10_000;
  }

  /** Takes in what another replica told of, as `add` does; false for a straggler, which changes nothing: PostgreSQL has it. */
  hear(host: string, publication: AgentPublication, text: string): boolean {
    const ring = this.#rings.get(host);
    if (ring && isPast(ring, publication)) return false;
    this.add(host, publication, text);
    return true;
  }

  /** Takes in what a host's newest connection published just now; `text` is the JSON of its data. A resend changes nothing. */
  add(host: string, publication: AgentPublication, text: string): void {
    const ring = this.#touch(host, publication.boot);
    ring.heardMs = performance.now();
    this.#insert(ring, { offset: publication.seq, data: text });
    note(ring, publication);
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

  /** What memory has of a host, ascending, without a hole. */
  records(host: string): (StreamEntry & { epoch: string })[] {
    const ring = this.#rings.get(host);
    return newestRun(ring?.entries ?? []).map((entry) => ({ ...entry, epoch: ring!.boot }));
  }

  /** What memory has of a host above a position, ascending; of another boot, or where there is no position, only the newest. */
  beyond(host: string, position: Position | undefined): (StreamEntry & { epoch: string })[] {
    const { boot = '', entries = [] } = this.#rings.get(host) ?? {};
    const isSame = position?.epoch === boot;
    const beyond = isSame ? newestRun(entries).filter(({ offset }) => offset > position.offset) : entries.slice(-1);
    return beyond.map((entry) => ({ ...entry, epoch: boot }));
  }

  /** Milliseconds since something was heard of the host; Infinity where nothing was. */
  silentMs(host: string): number {
    return performance.now() - (this.#rings.get(host)?.heardMs ?? -Infinity);
  }

  /** Forgets a host that was deleted, in the cache as well. */
  forget(host: string): void {
    this.#rings.delete(host);
    // Where Redis is away its expiry does it.
    this.#recent?.forget(host).catch(() => undefined);
  }

  /** Answers from memory where that is enough, then from the cache, then from PostgreSQL. */
  async read(room: string, range: Range): Promise<StreamPage> {
    const host = parseRoom(room)?.id ?? '';
    await this.#update(host, range);
    const ring = this.#rings.get(host);
    if (!ring) return { top: { offset: 0, epoch: '' }, entries: [] };
    const top = { offset: ring.entries.at(-1)?.offset ?? 0, epoch: ring.boot };
    const foreign = range.epoch !== undefined && range.epoch !== '' && range.epoch !== ring.boot;
    return { top, entries: foreign ? [] : pick(newestRun(ring.entries), range) };
  }

  /** Sees to it that memory can answer, as far as anyone can. */
  async #update(host: string, range: Range): Promise<void> {
    if (this.#answers(host, range)) return;
    if (this.#recent) {
      await this.#loadRecent(host, glance);
      if (this.#answers(host, range)) return;
      if (this.#isDue(host, 'gatheredMs')) await this.#loadRecent(host, keptEntries);
      if (this.#answers(host, range)) return;
    }
    const ring = this.#rings.get(host);
    if (ring && ring.boot !== '' && this.silentMs(host) < littleMs && covers(ring, range)) return this.#loadNewer(host, ring);
    if (!this.#isDue(host, 'askedMs')) return;
    const wasKnown = this.#rings.has(host);
    await this.#loadStored(host).catch((error: unknown) => {
      // Memory answers what it can while PostgreSQL is away.
      if (!wasKnown) throw error;
    });
  }

  /** Whether memory alone can answer, and is up to date. */
  #answers(host: string, range: Range): boolean {
    const ring = this.#rings.get(host);
    if (!ring || ring.boot === '') return false;
    return (!this.#recent || this.silentMs(host) < this.#freshMs) && covers(ring, range);
  }

  #isDue(host: string, what: 'gatheredMs' | 'askedMs'): boolean {
    return performance.now() - (this.#rings.get(host)?.[what] ?? -Infinity) > askEveryMs;
  }

  #touch(host: string, boot: string): Ring {
    let ring = this.#rings.get(host);
    if (ring) this.#rings.delete(host);
    if (!ring || ring.boot !== boot) {
      const { sample = null, processes = null, heardMs = -Infinity } = ring ?? {};
      ring = { boot, entries: [], bytes: 0, sample, processes, heardMs, gatheredMs: -Infinity, askedMs: -Infinity };
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

  /** However many ask for the same at once, its source is asked once. */
  #once(what: string, load: () => Promise<void>): Promise<void> {
    let loading = this.#loading.get(what);
    if (!loading) {
      loading = load().finally(() => this.#loading.delete(what));
      this.#loading.set(what, loading);
    }
    return loading;
  }

  /** Joins the newest `count` of the cache to what memory has. Never rejects: where the cache is away PostgreSQL is asked instead. */
  #loadRecent(host: string, count: number): Promise<void> {
    return this.#once(`${host} ${count}`, async () => {
      const texts = await this.#recent!.read(host, count).catch((): string[] => []);
      this.#merge(host, parseAll(texts));
      const ring = this.#rings.get(host);
      if (ring && count === keptEntries) ring.gatheredMs = performance.now();
    });
  }

  /** Brings memory up to date where there is no cache to ask; what memory has stands where PostgreSQL is away too. */
  #loadNewer(host: string, { sample, processes }: Ring): Promise<void> {
    return this.#once(`${host} newer`, async () => {
      const at = sample?.at ?? 0;
      const wanted = [{ host, kind: 'sample', at } as const, { host, kind: 'processes', at: processes?.at ?? at } as const];
      const frames = await framesBeyond(this.#sql, wanted).catch(() => undefined);
      const ring = this.#rings.get(host);
      if (!frames || !ring) return;
      this.#merge(
        host,
        frames.map(({ frame }) => ({ publication: JSON.parse(frame) as AgentPublication, text: frame })),
      );
      ring.heardMs = performance.now();
    });
  }

  /** Joins what PostgreSQL has to what memory has. */
  #loadStored(host: string): Promise<void> {
    return this.#once(host, async () => {
      const frames = await newestPublications({ sql: this.#sql, names: this.#names }, host, keptEntries);
      const ring = this.#turn(host, frames[0]);
      for (const frame of frames.toReversed()) if (frame.boot === ring.boot) this.#insert(ring, { offset: frame.seq, data: frame.frame });
      for (const kind of ['sample', 'processes'] as const) {
        const frame = frames.find((one) => one.kind === kind);
        if (frame && frame.at > (ring[kind]?.at ?? -Infinity)) note(ring, JSON.parse(frame.frame) as AgentPublication);
      }
      ring.heardMs = ring.askedMs = performance.now();
    });
  }

  #merge(host: string, found: readonly Found[]): void {
    if (found.length === 0) return;
    const newest = found.reduce((one, other) => (other.publication.at > one.publication.at ? other : one));
    const ring = this.#turn(host, newest.publication);
    for (const { publication, text } of found) {
      if (publication.boot !== ring.boot) continue;
      this.#insert(ring, { offset: publication.seq, data: text });
      note(ring, publication);
    }
    ring.heardMs = performance.now();
  }

  /** The host's ring, turned over to the boot of what was found where that is newer than all that was heard. */
  #turn(host: string, newest: { boot: string; at: number } | undefined): Ring {
    const ring = this.#rings.get(host);
    const isNewer = newest !== undefined && (!ring || ring.boot === '' || newest.at > newestAt(ring));
    return this.#touch(host, isNewer ? newest.boot : (ring?.boot ?? ''));
  }
}

/** What is in a cache may have been written by anyone: the rest is as if it were not there. */
function parseAll(texts: readonly string[]): Found[] {
  const found: Found[] = [];
  for (const text of texts) {
    const { ok: publication } = checkAgentPublication(tryParse(text));
    if (publication) found.push({ publication, text });
  }
  return found;
}
