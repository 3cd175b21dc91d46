/** Runs long readings within limits: few at once, each in one snapshot, each ended when nobody waits for it any more. */

import type { Pool, Sql } from './database.ts';

/** Why a reading has no result: too many wait already, it took too long, who asked has left, the hub stops. */
export type ReadFault = 'busy' | 'late' | 'left' | 'closed';

export class ReadError extends Error {
  readonly fault: ReadFault;

  constructor(fault: ReadFault, options?: ErrorOptions) {
    super(`not read: ${fault}`, options);
    this.name = 'ReadError';
    this.fault = fault;
  }
}

export interface ReaderOptions {
  sql: Pool;
  /** Readings at once, each with a connection of the pool; the rest of the pool is for those who write. */
  atOnce?: number;
  /** Readings that wait for their turn. */
  waiting?: number;
  /** From the start of a reading; without the time it waited for its turn. */
  timeoutMs?: number;
}

/** `sql` sees one state of the database throughout. Throws ReadError between two statements once the reading has ended. */
export interface Reading {
  sql: Sql;
  /** Lets others run where this reading computed for long; call it between two steps. */
  breathe(): Promise<void>;
}

/** A reading that computes longer than this without a pause delays what the hub delivers. */
const stretchMs = 5;

export class Reader {
  readonly #options: Required<ReaderOptions>;
  #running = 0;
  readonly #waiting = new Set<() => void>();
  readonly #closing = new AbortController();

  constructor(options: ReaderOptions) {
    const { atOnce = 3, waiting = 60, timeoutMs = 5_000 } = options;
    this.#options = { ...options, atOnce, waiting, timeoutMs };
  }

  /** Throws ReadError; with `signal` (who asked has left) and after the time-out the statement is cancelled in PostgreSQL, too. */
  async read<T>(signal: AbortSignal, work: (reading: Reading) => Promise<T>): Promise<T> {
    await this.#turn(signal);
    const end = new AbortController();
    const ended = (fault: ReadFault) => (): void => end.abort(new ReadError(fault));
    const [left, closed] = [ended('left'), ended('closed')];
    const timer = setTimeout(ended('late'), this.#options.timeoutMs);
    signal.addEventListener('abort', left);
    this.#closing.signal.addEventListener('abort', closed);
    if (signal.aborted) left();
    if (this.#closing.signal.aborted) closed();
    const done = this.#run(end.signal, work);
    // Its turn ends with its transaction, even where the answer did not wait for that.
    const settled = done.then(
      () => this.#next(),
      () => this.#next(),
    );
    try {
      return await Promise.race([done, rejection(end.signal)]);
    } catch (error) {
      // PostgreSQL's own time-out is the same thing, seen from the other side.
      throw end.signal.aborted ? end.signal.reason : isCancelled(error) ? new ReadError('late', { cause: error }) : error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', left);
      this.#closing.signal.removeEventListener('abort', closed);
      void settled;
    }
  }

  /** Ends all readings. */
  close(): void {
    this.#closing.abort();
    for (const wake of this.#waiting) wake();
  }

  async #turn(signal: AbortSignal): Promise<void> {
    const check = (): void => {
      if (this.#closing.signal.aborted) throw new ReadError('closed');
      if (signal.aborted) throw new ReadError('left');
    };
    check();
    if (this.#running >= this.#options.atOnce) {
      if (this.#waiting.size >= this.#options.waiting) throw new ReadError('busy');
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        signal.addEventListener('abort', wake);
        this.#waiting.add(wake);
      });
      // Woken by leaving: the turn was nobody's yet, or has to go on.
      if (signal.aborted || this.#closing.signal.aborted) {
        this.#wakeOne();
        check();
      }
    }
    this.#running++;
  }

  #next(): void {
    this.#running--;
    this.#wakeOne();
  }

  #wakeOne(): void {
    if (this.#running >= this.#options.atOnce) return;
    const [wake] = this.#waiting;
    wake?.();
  }

  async #run<T>(end: AbortSignal, work: (reading: Reading) => Promise<T>): Promise<T> {
    const { sql: pool, timeoutMs } = this.#options;
    const result = await pool.begin('isolation level repeatable read read only', async (sql) => {
      end.throwIfAborted();
      const [{ pid }] = await sql<[{ pid: number }]>`
        select pg_backend_pid() as pid, set_config('statement_timeout', ${String(timeoutMs)}, true)`;
      let cancelling: Promise<unknown> = Promise.resolve();
      // As a statement of its own, not by the driver: it is over before this connection goes to somebody else, and so never hits them.
      const cancel = (): void => {
        cancelling = pool`select pg_cancel_backend(${pid})`.catch(() => undefined);
      };
      end.throwIfAborted();
      end.addEventListener('abort', cancel);
      let sinceMs = performance.now();
      const breathe = async (): Promise<void> => {
        end.throwIfAborted();
        if (performance.now() - sinceMs < stretchMs) return;
        await new Promise((resolve) => setImmediate(resolve));
        sinceMs = performance.now();
      };
      try {
        return { value: await work({ sql, breathe }) };
      } finally {
        end.removeEventListener('abort', cancel);
        await cancelling;
      }
    });
    return result.value;
  }
}

function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const end = (): void => reject(signal.reason as Error);
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}

const isCancelled = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === '57014';
