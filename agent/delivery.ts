/** Brings publications to the hub over one connection, as long as it lasts. */

import { errors } from '../src/protocol/codes.ts';
import type { HubClock } from './clock.ts';
import { Refused, Unanswered, type Connection } from './connection.ts';
import type { Log } from './log.ts';
import { textOf, type Spool, type SpoolEntry } from './spool.ts';

/** Up to so many publications are sent one by one, in order; more go behind by backfill. */
const fewPublications = 10;
/** Older ones go by backfill: the hub takes live only what is near its own time. */
const liveForMs = 45_000;
const patienceMs = 30_000;
const backfillPatienceMs = 60_000;
const backfillMaxCount = 300;
const backfillMaxBytes = 384 * 1024;
/** Between two backfills, so that catching up leaves room for what is live: 300 a second at most. */
const backfillPauseMs = 1_000;
const retryFirstMs = 1_000;
const retryLastMs = 30_000;
/** Above this the network does not keep up; what is new waits in the spool. */
const maxWaitingBytes = 256 * 1024;

export interface DeliveryParts {
  connection: Connection;
  room: string;
  boot: string;
  spool: Spool;
  clock: HubClock;
  log: Log;
  /** Asks the hub for its time; true if the agent's was wrong. */
  syncClock: () => Promise<boolean>;
  /** A publication that the hub will never take. `code` as in the error table, or its name from a backfill. */
  onDropped: (code: string) => void;
}

export class Delivery {
  readonly #parts: DeliveryParts;
  #isStopped = false;
  /** Grows with each failure in a row; 0 while all goes well. */
  #retryMs = 0;
  #notBeforeMs = 0;
  #syncing: Promise<boolean> | undefined;
  /** Ends the wait of the loop, if it waits. */
  #wake: () => void = () => {};

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
  }

  /** Sends what waits, as the contract orders it, until the connection ends. Resolves then, never rejects. */
  async run(): Promise<void> {
    const { spool } = this.#parts;
    // What the last connection left unanswered is sent again: a resend is harmless.
    for (const entry of spool.unacknowledged()) entry.inFlight = false;
    void this.#parts.connection.ended.then(() => this.stop());
    const waiting = this.#waiting();
    // With much to catch up, people see the newest first.
    const newest = waiting.length > fewPublications ? waiting.findLast((entry) => entry.kind === 'sample') : undefined;
    if (newest && !this.#isOld(newest)) this.publish(newest);
    while (!this.#isStopped) {
      const waitMs = this.#notBeforeMs - performance.now();
      if (waitMs > 0) await this.#wait(waitMs);
      else await this.#catchUp();
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.#wake();
  }

  /** Sends one publication at once, whatever is unanswered. */
  publish(entry: SpoolEntry): void {
    const { connection, room, spool } = this.#parts;
    if (this.#isStopped || entry.at === undefined) return;
    if (connection.waitingBytes > maxWaitingBytes) {
      this.#noteFailure();
      return;
    }
    entry.inFlight = true;
    connection
      .request('publish', `{"channel":"${room}","data":${textOf(entry)}}`, patienceMs)
      .then(
        () => {
          spool.forget(entry.seq);
          this.#noteSuccess();
        },
        (error: unknown) => this.#failed([entry], error),
      )
      .catch((error: unknown) => this.#parts.log.error('handling a reply failed', { error: String(error) }));
  }

  #waiting(): SpoolEntry[] {
    return [...this.#parts.spool.unacknowledged()].filter((entry) => !entry.inFlight && entry.at !== undefined);
  }

  #isOld(entry: SpoolEntry): boolean {
    return entry.boot !== this.#parts.boot || performance.now() - entry.takenMs > liveForMs;
  }

  /** One step: waits until something is to be sent again, sends it. */
  async #catchUp(): Promise<void> {
    const waiting = this.#waiting();
    if (waiting.length === 0) {
      await this.#wait();
    } else if (waiting.length <= fewPublications && !waiting.some((entry) => this.#isOld(entry))) {
      for (const entry of waiting) this.publish(entry);
    } else await this.#backfill(waiting);
  }

  async #backfill(waiting: SpoolEntry[]): Promise<void> {
    const batch: SpoolEntry[] = [];
    const texts: string[] = [];
    let bytes = 0;
    for (const entry of waiting) {
      const text = textOf(entry);
      bytes += Buffer.byteLength(text) + 1;
      if (batch.length > 0 && (batch.length >= backfillMaxCount || bytes > backfillMaxBytes)) break;
      batch.push(entry);
      texts.push(text);
      entry.inFlight = true;
    }
    const { connection, spool, log } = this.#parts;
    try {
      const reply = await connection.request(
        'rpc',
        `{"method":"backfill","data":{"publications":[${texts.join(',')}]}}`,
        backfillPatienceMs,
      );
      const untimely = this.#countRefused(reply['data'], batch);
      if (untimely.length > 0) await this.#stampAnew(untimely);
      for (const entry of batch) {
        if (untimely.includes(entry)) entry.inFlight = false;
        else spool.forget(entry.seq);
      }
      this.#noteSuccess();
      log.debug('backfilled', { publications: batch.length, left: spool.depth });
      if (waiting.length > batch.length) await this.#wait(backfillPauseMs);
    } catch (error) {
      await this.#failed(batch, error);
    }
  }

  /** What a backfill refuses is refused for good, but for a wrong time: those entries are given back. */
  #countRefused(data: unknown, batch: readonly SpoolEntry[]): SpoolEntry[] {
    const refused = typeof data === 'object' && data !== null && 'refused' in data && Array.isArray(data.refused) ? data.refused : [];
    const untimely: SpoolEntry[] = [];
    for (const one of refused as { at?: unknown; kind?: unknown; code?: unknown }[]) {
      const entry = one?.code === errors.clock.code ? batch.find(({ at, kind }) => at === one.at && kind === one.kind) : undefined;
      if (entry) untimely.push(entry);
      else this.#parts.onDropped(String(one?.code));
    }
    return untimely;
  }

  /** Temporary trouble keeps the publications for another try, any other refusal drops them. */
  async #failed(entries: SpoolEntry[], error: unknown): Promise<void> {
    if (error instanceof Refused && error.code === errors.clock.code) await this.#stampAnew(entries);
    else if (error instanceof Refused && !error.isTemporary) this.#drop(entries, error);
    else if (!(error instanceof Refused || error instanceof Unanswered)) throw error;
    for (const entry of entries) entry.inFlight = false;
    this.#noteFailure();
  }

  #noteSuccess(): void {
    if (this.#retryMs === 0) return;
    this.#retryMs = 0;
    this.#notBeforeMs = 0;
    this.#wake();
  }

  #noteFailure(): void {
    const nowMs = performance.now();
    // Many failures of one moment are one.
    if (nowMs >= this.#notBeforeMs) {
      this.#retryMs = Math.min(retryLastMs, Math.max(retryFirstMs, this.#retryMs * 2));
      this.#notBeforeMs = nowMs + this.#retryMs * (0.75 + Math.random() / 2);
    }
    this.#wake();
  }

  #drop(entries: SpoolEntry[], error: Refused): void {
    for (const entry of entries) {
      this.#parts.spool.forget(entry.seq);
      this.#parts.onDropped(String(error.code));
    }
  }

  /** The hub found the time wrong: corrects the clock and gives these publications the time they would have had by it. */
  async #stampAnew(entries: SpoolEntry[]): Promise<void> {
    this.#syncing ??= this.#parts.syncClock().finally(() => {
      this.#syncing = undefined;
    });
    const wasWrong = await this.#syncing.catch(() => false);
    for (const entry of entries) {
      const at = this.#parts.clock.timeAt(entry.takenMs);
      // A right clock means that the publication is merely late: it goes by backfill with its own time.
      if (wasWrong || Math.abs(at - (entry.at ?? 0)) > liveForMs) entry.at = at;
    }
  }

  /** Until the time is over or something happened; without a time until something happened. */
  async #wait(ms?: number): Promise<void> {
    if (this.#isStopped) return;
    await new Promise<void>((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
