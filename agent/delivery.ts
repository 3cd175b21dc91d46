/** Brings publications to the hub over one connection, as long as it lasts. */

import { errors } from '../src/protocol/codes.ts';
import type { LateWhy } from '../src/protocol/kinds.ts';
import type { HubClock } from './clock.ts';
import { Refused, Unanswered, type Connection } from './connection.ts';
import type { Log } from './log.ts';
import { textOf, type Backlog, type Spool, type SpoolEntry } from './spool.ts';

/** Up to so many publications are sent one by one, in order; more go behind by backfill. */
const fewPublications = 10;
/** Older ones go by backfill: the hub takes live only what is near its own time. */
const liveForMs = 45_000;
const patienceMs = 30_000;
const backfillPatienceMs = 60_000;
const backfillMaxCount = 300;
const backfillMaxBytes = 384 * 1024;
/** Catching up leaves room for what is live: so many a second at most. */
const backfillsPerSecond = 300;
const retryFirstMs = 1_000;
const retryLastMs = 30_000;
/** Above this the network does not keep up; what is new waits in the spool. */
const maxWaitingBytes = 256 * 1024;
/** So often a part of the backlog is stamped anew before it is given up. */
const stampsAtMost = 3;

export interface DeliveryParts {
  connection: Connection;
  room: string;
  boot: string;
  spool: Spool;
  clock: HubClock;
  log: Log;
  /** Asks the hub for its time; true if the agent's was wrong. */
  syncClock: () => Promise<boolean>;
  /** Monotonic ms of the moment when the connection stood. */
  connectedMs: number;
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
    const newest = waiting.length + spool.backlog > fewPublications ? waiting.findLast((entry) => entry.kind === 'sample') : undefined;
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
          spool.forget(entry);
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

  /** One step: waits until something is to be sent again, sends it. The oldest first, which is on disk. */
  async #catchUp(): Promise<void> {
    const { spool } = this.#parts;
    if (spool.backlog > 0) return this.#backfillBacklog(await spool.readBacklog());
    const waiting = this.#waiting();
    if (waiting.length === 0 && spool.untold.length === 0) {
      await this.#wait();
    } else if (waiting.length > 0 && waiting.length <= fewPublications && !waiting.some((entry) => this.#isOld(entry))) {
      for (const entry of waiting) this.publish(entry);
    } else await this.#backfillMemory(waiting);
  }

  async #backfillMemory(waiting: SpoolEntry[]): Promise<void> {
    const { spool } = this.#parts;
    const [batch = []] = inParts(waiting);
    for (const entry of batch) entry.inFlight = true;
    try {
      const untimely = await this.#backfill(batch);
      if (untimely.length > 0) await this.#stampAnew(untimely);
      for (const entry of batch) {
        if (untimely.includes(entry)) entry.inFlight = false;
        else spool.forget(entry);
      }
      this.#noteSuccess();
      if (waiting.length > batch.length) await this.#wait(pauseMsAfter(batch.length));
    } catch (error) {
      await this.#failed(batch, error);
    }
  }

  /** What is on disk is let go of as a whole: until then all of it would be sent again. */
  async #backfillBacklog(backlog: Backlog): Promise<void> {
    const { spool, boot } = this.#parts;
    let left = backlog.entries;
    try {
      for (let stamps = 0; ; stamps += 1) {
        for (const part of inParts(left)) left = left.filter((entry) => !part.includes(entry)).concat(await this.#backfill(part));
        // Of an earlier boot nothing is known that could correct its time.
        const lost = left.filter((entry) => entry.boot !== boot || stamps >= stampsAtMost);
        lost.forEach(() => this.#parts.onDropped(String(errors.clock.code)));
        left = left.filter((entry) => !lost.includes(entry));
        if (left.length === 0) break;
        await this.#stampAnew(left);
      }
    } catch (error) {
      if (!(error instanceof Refused) || error.isTemporary) return this.#failed([], error);
      this.#drop(left, error);
      this.#noteFailure();
    }
    spool.forgetBacklog(backlog);
    this.#noteSuccess();
    // Otherwise what a day of backlog leaves behind lets the process grow. Only there with `--expose-gc`, as in the shipped agent.
    globalThis.gc?.();
    if (spool.backlog > 0) await this.#wait(pauseMsAfter(backlog.entries.length));
  }

  /** Sends them, with what was lost before. Gives those whose time the hub found wrong; all others are done with. */
  async #backfill(entries: readonly SpoolEntry[]): Promise<SpoolEntry[]> {
    const { connection, spool, log } = this.#parts;
    const losses = spool.untold;
    const dropped = losses.length > 0 ? `,"dropped":${JSON.stringify(losses)}` : '';
    const why = [...new Set(entries.map((entry) => this.#whyLate(entry)))];
    const reply = await connection.request(
      'rpc',
      `{"method":"backfill","data":{"publications":[${entries.map(textOf).join(',')}],"why":${JSON.stringify(why)}${dropped}}}`,
      backfillPatienceMs,
    );
    spool.told(losses);
    log.debug('backfilled', { publications: entries.length, left: spool.depth - entries.length });
    return this.#countRefused(reply['data'], entries);
  }

  #whyLate(entry: SpoolEntry): LateWhy {
    if (entry.boot !== this.#parts.boot) return 'restart';
    return entry.takenMs < this.#parts.connectedMs ? 'connection' : 'hub';
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
      this.#parts.spool.forget(entry);
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

const pauseMsAfter = (count: number): number => (count * 1_000) / backfillsPerSecond;

/** As many at a time as one backfill takes. */
function inParts(entries: readonly SpoolEntry[]): SpoolEntry[][] {
  const parts: SpoolEntry[][] = [];
  let bytes = 0;
  for (const entry of entries) {
    const size = Buffer.byteLength(textOf(entry)) + 1;
    const last = parts.at(-1);
    if (last && last.length < backfillMaxCount && bytes + size <= backfillMaxBytes) {
      last.push(entry);
      bytes += size;
    } else {
      parts.push([entry]);
      bytes = size;
    }
  }
  return parts;
}
