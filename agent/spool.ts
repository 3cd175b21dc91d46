/** Keeps what the agent published until the hub says it is committed: in memory at first, on disk what waits for long. */

import type { Loss, LossWhy } from '../src/protocol/kinds.ts';
import type { HubClock } from './clock.ts';
import type { Journal, Written } from './spool/journal.ts';
import { Losses } from './spool/losses.ts';
import type { Batch } from './spool/readBatch.ts';
import type { Draft, Stored } from './spool/record.ts';

export type { Draft } from './spool/record.ts';

type Kind = Draft['kind'];

export interface SpoolEntry extends Draft {
  /** On the way to the hub over the present connection, its answer still open. */
  inFlight: boolean;
  /** Its place on disk, once it has one. */
  written?: Written;
}

/** A part of the backlog on disk, as one backfill takes it. */
export interface Backlog {
  entries: SpoolEntry[];
  batch: Batch;
}

export interface SpoolParts {
  boot: string;
  clock: HubClock;
  /** Missing: memory only. */
  journal?: Journal;
  /** Older than this is dropped. */
  maxAgeMs?: number;
  /** Monotonic ms, and ms since 1970 as this machine believes. */
  nowMs?: () => number;
  wallMs?: () => number;
}

/** Of a record, beside the body of the publication. */
const recordOverheadBytes = 190;
/** What waits for so long goes to disk, and with it, from then on, all that is new until the hub answers in time again. */
const spillAfterMs = 10_000;
/** So many of the newest stay in memory although they are on disk: what goes out live needs no reading. */
const keptInMemory = 20;
/** Where the disk takes nothing: ten minutes at the usual pace, with the process lists that belong to them. */
const limits: Record<Kind, number> = { sample: 600, processes: 120 };
/** A host with very many devices has large samples: beyond this the oldest go too. */
const maxMemoryBytes = 16 * 1024 * 1024;
/** In UTF-8 up to three times as many bytes, which still fits a record. */
const maxBodyChars = 170_000;
/** Small, so that the agent stays small while it delivers a day. */
const backlogMaxCount = 50;
const backlogMaxBytes = 64 * 1024;

export class Spool {
  readonly #parts: SpoolParts;
  readonly #nowMs: () => number;
  readonly #wallMs: () => number;
  readonly #losses: Losses;
  /** By `seq`, which only grows: the order of insertion is that of age. */
  readonly #entries = new Map<number, SpoolEntry>();
  readonly #counts: Record<Kind, number> = { sample: 0, processes: 0 };
  #bytes = 0;
  #addedBytes = 0;
  #writtenInMemory = 0;
  #isSpilling = false;

  constructor(parts: SpoolParts) {
    this.#parts = parts;
    this.#nowMs = parts.nowMs ?? (() => performance.now());
    this.#wallMs = parts.wallMs ?? (() => Date.now());
    this.#losses = parts.journal?.losses ?? new Losses();
  }

  /** Keeps a publication; where a limit is reached the oldest is dropped, counted. */
  add(draft: Draft): SpoolEntry {
    const entry: SpoolEntry = { ...draft, inFlight: false };
    if (this.#counts[draft.kind] >= limits[draft.kind]) this.#dropOldest(draft.kind);
    this.#bytes += draft.body.length;
    this.#addedBytes += draft.body.length + recordOverheadBytes;
    while (this.#bytes > maxMemoryBytes && this.#entries.size > 0) this.#dropOldest();
    this.#entries.set(draft.seq, entry);
    this.#counts[draft.kind] += 1;
    if (this.#isSpilling) this.spill();
    return entry;
  }

  /** What is in memory and not committed, oldest first; older ones may wait on disk. */
  unacknowledged(): Iterable<SpoolEntry> {
    return this.#entries.values();
  }

  /** Lets go of what is committed or was refused for good. Again: nothing happens. */
  forget(entry: SpoolEntry): void {
    const isHere = this.#entries.get(entry.seq) === entry;
    if (isHere) this.#remove(entry);
    if (entry.written) this.#parts.journal?.settle(entry.written);
    if (isHere && this.#nowMs() - entry.takenMs < spillAfterMs) this.#isSpilling = false;
  }

  /** How many wait on disk alone. */
  get backlog(): number {
    return Math.max(0, (this.#parts.journal?.waiting ?? 0) - this.#writtenInMemory);
  }

  /** The oldest part of the backlog, with hub time. Only once hub time is known. Never rejects. */
  async readBacklog(): Promise<Backlog> {
    const { journal } = this.#parts;
    if (!journal) throw new Error('there is no disk to read from');
    let limit = Infinity;
    for (const { written } of this.#entries.values()) if (written) limit = Math.min(limit, written.number);
    const batch = await journal.read(limit, backlogMaxCount, backlogMaxBytes);
    return { batch, entries: batch.records.map((record) => ({ ...record, at: record.at ?? this.#stampOf(record), inFlight: true })) };
  }

  /** The hub answered for all of it. */
  forgetBacklog({ batch }: Backlog): void {
    this.#parts.journal?.forget(batch);
  }

  /** Whose publications these are is known now: those kept for another host are dropped. */
  belongTo(host: string): void {
    this.#parts.journal?.belongTo(host);
  }

  /** Hub time is known now: gives it to what was sampled before. */
  stamp(): void {
    const { clock, boot, journal } = this.#parts;
    for (const entry of this.#entries.values()) entry.at ??= clock.stamp(entry.takenMs);
    if (!journal || journal.waiting === 0 || journal.offsets.has(boot)) return;
    journal.offsets.set(boot, clock.offsetMs);
    journal.changed();
  }

  get depth(): number {
    return this.#entries.size + this.backlog;
  }

  /** Lost since the start of the process. */
  get dropped(): number {
    return this.#losses.total;
  }

  /** What was lost and the hub does not know of. */
  get untold(): Loss[] {
    return this.#losses.untold;
  }

  /** The hub knows of these now. */
  told(losses: readonly Loss[]): void {
    if (losses.length === 0) return;
    this.#losses.told(losses);
    this.#parts.journal?.changed();
  }

  /** What all publications since the start would take on disk. */
  get addedBytes(): number {
    return this.#addedBytes;
  }

  /** Bytes on disk. */
  get bytes(): number {
    return this.#parts.journal?.bytes ?? 0;
  }

  /** Why the disk takes nothing, as the system's code; `none` where there is no disk. */
  get trouble(): string | undefined {
    return this.#parts.journal ? this.#parts.journal.trouble : 'none';
  }

  /** How long the oldest has waited; 0 where nothing waits, undefined while that cannot be told. */
  get ageMs(): number | undefined {
    if (this.depth === 0) return 0;
    const oldest = this.backlog > 0 ? this.#parts.journal?.oldest() : this.#entries.values().next().value;
    return oldest && this.#ageOf(oldest);
  }

  /** Once a second: to disk with what waits too long, away with what is too old. */
  async keep(): Promise<void> {
    const { journal, maxAgeMs } = this.#parts;
    if (!journal) return;
    for (const entry of this.#entries.values()) {
      if (entry.written) continue;
      if (this.#nowMs() - entry.takenMs >= spillAfterMs) this.#isSpilling = true;
      break;
    }
    if (this.#isSpilling) this.spill();
    if (maxAgeMs !== undefined) journal.dropWhere((record) => (this.#ageOf(record) ?? 0) > maxAgeMs);
    await journal.keep();
  }

  /** Writes all that is in memory only, as far as the disk takes it. */
  spill(): void {
    const { journal } = this.#parts;
    if (!journal) return;
    for (const entry of this.#entries.values()) {
      // What is too large for the disk stays in memory.
      if (entry.written || entry.body.length > maxBodyChars) continue;
      const written = journal.append(entry, this.#wallMs() - (this.#nowMs() - entry.takenMs));
      if (!written) break;
      entry.written = written;
      this.#writtenInMemory += 1;
    }
    for (const entry of this.#entries.values()) {
      if (this.#entries.size <= keptInMemory) break;
      if (entry.written) this.#remove(entry);
    }
  }

  /** Writes what is not committed; the next process goes on with it. */
  close(): void {
    this.spill();
    this.#parts.journal?.close();
  }

  #remove(entry: SpoolEntry): void {
    this.#entries.delete(entry.seq);
    this.#counts[entry.kind] -= 1;
    this.#bytes -= entry.body.length;
    if (entry.written) this.#writtenInMemory -= 1;
  }

  #dropOldest(kind?: Kind): void {
    for (const entry of this.#entries.values()) {
      if (kind !== undefined && entry.kind !== kind) continue;
      this.#remove(entry);
      // What is on disk as well is not lost.
      if (entry.written) return;
      const at = entry.at ?? this.#wallMs() - (this.#nowMs() - entry.takenMs);
      this.#losses.add(this.#lossWhy(), at, at, 1);
      this.#parts.journal?.changed();
      return;
    }
  }

  #lossWhy(): LossWhy {
    const code = this.#parts.journal?.trouble;
    if (code === undefined) return 'memory';
    return code === 'ENOSPC' || code === 'EDQUOT' ? 'disk_full' : 'disk_failed';
  }

  /** Undefined where the record is of an earlier boot and hub time is not known yet. */
  #ageOf(entry: Draft): number | undefined {
    const { boot, clock } = this.#parts;
    if (entry.boot === boot) return this.#nowMs() - entry.takenMs;
    if (!clock.isKnown) return undefined;
    return clock.timeAt(this.#nowMs()) - (entry.at ?? this.#stampOf(entry as Stored));
  }

  /** Hub time for a record written before it was known: the same at every call, also after a restart. */
  #stampOf(record: Stored): number {
    const { clock, journal } = this.#parts;
    let offsetMs = journal?.offsets.get(record.boot);
    if (offsetMs === undefined) {
      // The wall clock of the earlier boot is all there is; how wrong it is now is known.
      const nowMs = this.#nowMs();
      offsetMs = record.wallMs - record.takenMs + (clock.timeAt(nowMs) - this.#wallMs());
      journal?.offsets.set(record.boot, offsetMs);
      journal?.changed();
    }
    return Math.round(record.takenMs + offsetMs);
  }
}

/** The publication as it goes over the wire. Only for stamped entries. */
export const textOf = ({ kind, at, seq, boot, body }: Draft): string =>
  `{"kind":"${kind}","at":${at},"seq":${seq},"boot":"${boot}",${body}}`;
