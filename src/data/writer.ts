/** Gathers samples, commits them in groups, tells each one's sender. */

import { findConflicts, insertSamples } from './samples.ts';
import type { SampleRow } from './samples.ts';
import type { Sql } from '../db/database.ts';

/**
 * Why a row was not committed: the queue is full, the database is away, its data cannot be stored, its place is taken by another
 * publication, or the hub stops. `full`, `away` and `closed` pass; the sender keeps the row and tries again.
 */
export type WriteFault = 'full' | 'away' | 'data' | 'conflict' | 'closed';

export class WriteError extends Error {
  readonly fault: WriteFault;

  constructor(fault: WriteFault, options?: ErrorOptions) {
    super(`not stored: ${fault}`, options);
    this.name = 'WriteError';
    this.fault = fault;
  }
}

/** What the writer reports to metrics and log; every callback is optional and must not throw. */
export interface WriterEvents {
  /** One row was committed, this long after it arrived. */
  committed?(seconds: number): void;
  batch?(rows: number): void;
  refused?(fault: WriteFault, rows: number): void;
  /** The database went away (with the reason) or came back. */
  away?(away: boolean, reason?: unknown): void;
}

export interface WriterOptions extends WriterEvents {
  sql: Sql;
  /** Bounds of what waits for its commit. */
  maxRows?: number;
  maxBytes?: number;
  /** Batches under way at once. */
  flights?: number;
  /** The least time between the starts of two batches: few large commits cost a fraction of many small ones. */
  gatherMs?: number;
  /** A batch without an answer for so long counts as lost. */
  timeoutMs?: number;
  /** While the database is away, it is asked so often whether it is back. */
  probeMs?: number;
  /** A batch under way for longer counts as not being stored; one that came back so long ago is trusted even if nothing was to commit. */
  doubtMs?: number;
}

interface Waiting {
  row: SampleRow;
  bytes: number;
  arrivedMs: number;
  resolve: () => void;
  reject: (error: WriteError) => void;
}

/** One statement stays within these, whatever has gathered. */
const batchRows = 5_000;
const batchBytes = 16 * 1024 * 1024;
const maxProbeMs = 10_000;
/** With so many waiting, gathering more saves nothing. */
const floodRows = 500;

const byPlace = ({ row: a }: Waiting, { row: b }: Waiting): number =>
  a.host === b.host ? (a.kind === b.kind ? a.at - b.at : a.kind < b.kind ? -1 : 1) : a.host < b.host ? -1 : 1;

/** Classes 22 (data) and 23 (constraint), 54 (a limit): the rows are to blame; all else is the database's state. */
const isDataFault = (error: unknown): boolean => {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && code.length === 5 && /^(22|23|54)/.test(code);
};

export class SampleWriter {
  readonly #options: Required<Omit<WriterOptions, keyof WriterEvents>> & WriterEvents;
  #queue: Waiting[] = [];
  /** Rows and bytes accepted but unanswered, in the queue or in flight. */
  #rows = 0;
  #bytes = 0;
  /** Batches under way and when they began, the oldest first. */
  readonly #flying = new Map<Promise<void>, number>();
  #timer: NodeJS.Timeout | undefined;
  #startedMs = -Infinity;
  #away = false;
  #closed = false;
  #probeDelayMs = 0;
  #backAtMs = -Infinity;
  /** Since the database came back nothing was committed yet. */
  #isUnproven = false;

  constructor(options: WriterOptions) {
    const { maxRows = 20_000, maxBytes = 64 * 1024 * 1024, flights = 2, gatherMs = 50, timeoutMs = 10_000, probeMs = 500 } = options;
    const { doubtMs = 4_000 } = options;
    this.#options = { ...options, maxRows, maxBytes, flights, gatherMs, timeoutMs, probeMs, doubtMs };
  }

  /** What waits for its commit now. */
  get depth(): { rows: number; bytes: number } {
    return { rows: this.#rows, bytes: this.#bytes };
  }

  /**
   * Whether samples are being committed, as far as is known: the database is there, what was tried last was done, and nothing waits
   * for long. A database that answers but cannot commit (a full disk) stays false while it is tried again and again.
   */
  get isStoring(): boolean {
    const { doubtMs } = this.#options;
    const nowMs = performance.now();
    const [oldestMs = nowMs] = this.#flying.values();
    return !this.#away && nowMs - oldestMs <= doubtMs && !(this.#isUnproven && nowMs - this.#backAtMs <= doubtMs);
  }

  /**
   * Resolves once the row is committed, by this call or an earlier one; rejects with a WriteError, at once when the queue is full
   * or the database away. `share` is the part of the queue this sender may fill, so that a backlog leaves room for what is live.
   */
  add(row: SampleRow, share = 1): Promise<void> {
    const bytes = Buffer.byteLength(row.frame);
    const fault = this.#refusal(bytes, share);
    if (fault) {
      this.#options.refused?.(fault, 1);
      return Promise.reject(new WriteError(fault));
    }
    this.#rows++;
    this.#bytes += bytes;
    return new Promise((resolve, reject) => {
      this.#queue.push({ row, bytes, arrivedMs: performance.now(), resolve, reject });
      this.#wake();
    });
  }

  /** Commits what waits, for at most `withinMs`; the rest is refused. */
  async close(withinMs = 5_000): Promise<void> {
    this.#closed = true;
    const deadline = new Promise<void>((resolve) => setTimeout(resolve, withinMs).unref());
    const flushed = (async () => {
      while (this.#queue.length > 0 || this.#flying.size > 0) {
        this.#start();
        await Promise.race(this.#flying.keys());
      }
    })();
    await Promise.race([flushed, deadline]);
    clearTimeout(this.#timer);
    this.#refuseQueue('closed');
  }

  #refusal(bytes: number, share: number): WriteFault | undefined {
    if (this.#closed) return 'closed';
    if (this.#away) return 'away';
    const { maxRows, maxBytes } = this.#options;
    return this.#rows >= maxRows * share || this.#bytes + bytes > maxBytes * share ? 'full' : undefined;
  }

  /** A lone row is committed at once, a stream of them every `gatherMs`, a flood as fast as it goes. */
  #wake(): void {
    if (this.#flying.size >= this.#options.flights) return;
    if (this.#queue.length >= floodRows) return this.#start();
    if (this.#timer) return;
    const waitMs = Math.max(0, this.#startedMs + this.#options.gatherMs - performance.now());
    this.#timer = setTimeout(() => this.#start(), waitMs);
  }

  #start(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#flying.size >= this.#options.flights || this.#queue.length === 0) return;
    this.#startedMs = performance.now();
    const flight = this.#commit(this.#take()).finally(() => {
      this.#flying.delete(flight);
      if (this.#queue.length > 0 && !this.#closed) this.#wake();
    });
    this.#flying.set(flight, this.#startedMs);
  }

  #take(): Waiting[] {
    let bytes = 0;
    let n = 0;
    while (n < this.#queue.length && n < batchRows && (bytes += this.#queue[n]!.bytes) <= batchBytes) n++;
    n = Math.max(n, 1);
    const batch = n === this.#queue.length ? this.#queue : this.#queue.slice(0, n);
    this.#queue = n === this.#queue.length ? [] : this.#queue.slice(n);
    // One order for all batches, so that two with the same rows wait for each other and never both.
    return batch.sort(byPlace);
  }

  /** Never rejects: every row of the batch gets its own answer. */
  async #commit(batch: Waiting[]): Promise<void> {
    try {
      const rows = batch.map((waiting) => waiting.row);
      const added = await this.#inTime(insertSamples(this.#options.sql, rows));
      const taken = added < rows.length ? await this.#inTime(findConflicts(this.#options.sql, rows)) : [];
      this.#options.batch?.(rows.length);
      this.#isUnproven = false;
      this.#acknowledge(batch, new Set(taken));
    } catch (error) {
      if (!isDataFault(error)) {
        this.#lose(batch, error);
      } else if (batch.length === 1) {
        this.#refuse(batch, 'data', error);
      } else {
        const half = batch.length >> 1;
        await this.#commit(batch.slice(0, half));
        await this.#commit(batch.slice(half));
      }
    }
  }

  #acknowledge(batch: Waiting[], taken: Set<number>): void {
    const nowMs = performance.now();
    const conflicting: Waiting[] = [];
    batch.forEach((waiting, index) => {
      if (taken.has(index)) {
        conflicting.push(waiting);
        return;
      }
      this.#rows--;
      this.#bytes -= waiting.bytes;
      this.#options.committed?.((nowMs - waiting.arrivedMs) / 1000);
      waiting.resolve();
    });
    if (conflicting.length > 0) this.#refuse(conflicting, 'conflict');
  }

  /** Answers everything that waits with "away", and asks the database until it is back. */
  #lose(batch: Waiting[], reason: unknown): void {
    const known = this.#away;
    this.#away = true;
    this.#refuse(batch, 'away', reason);
    this.#refuseQueue('away');
    if (known) return;
    this.#options.away?.(true, reason);
    const { probeMs } = this.#options;
    // One that answers but cannot commit (a full disk) is tried ever more seldom.
    const relapsed = performance.now() - this.#backAtMs < 2 * Math.max(probeMs, this.#probeDelayMs);
    this.#probeDelayMs = relapsed ? Math.min(2 * this.#probeDelayMs, maxProbeMs) : probeMs;
    this.#probeLater();
  }

  #probeLater(): void {
    if (!this.#closed) setTimeout(() => this.#probe(), this.#probeDelayMs).unref();
  }

  #probe(): void {
    this.#inTime(this.#options.sql`select 1`).then(
      () => {
        this.#away = false;
        this.#isUnproven = true;
        this.#backAtMs = performance.now();
        this.#options.away?.(false);
      },
      () => this.#probeLater(),
    );
  }

  async #inTime<T>(query: PromiseLike<T>): Promise<T> {
    const { timeoutMs } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`PostgreSQL did not answer within ${timeoutMs} ms`)), timeoutMs);
    });
    try {
      return await Promise.race([query, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #refuseQueue(fault: WriteFault): void {
    const queue = this.#queue;
    this.#queue = [];
    if (queue.length > 0) this.#refuse(queue, fault);
  }

  #refuse(batch: Waiting[], fault: WriteFault, cause?: unknown): void {
    this.#options.refused?.(fault, batch.length);
    for (const waiting of batch) {
      this.#rows--;
      this.#bytes -= waiting.bytes;
      waiting.reject(new WriteError(fault, { cause }));
    }
  }
}
