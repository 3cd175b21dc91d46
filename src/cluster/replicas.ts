/** Knows which replicas there are, as they say themselves, and tells them of this one. */

import type { Clock } from '../lib/clock.ts';
import { LoopLag } from '../ops/loopLag.ts';
import type { ReplicaRow, ReplicaStore } from '../relay/replicaRows.ts';

export interface ReplicasParts {
  store: ReplicaStore;
  self: Pick<ReplicaRow, 'id' | 'name' | 'node' | 'version'>;
  clock: Clock;
  counts(): Pick<ReplicaRow, 'connections' | 'rooms'>;
  /** Received and sent since the start. */
  messages(): number;
  /** The rows could not be exchanged. */
  failed(error: unknown): void;
  /** A replica went silent while it was closing its connections, with some still open. */
  vanished?(row: ReplicaRow): void;
  times?: Partial<typeof defaultTimes>;
}

const defaultTimes = {
  everyMs: 2_000,
  /** A replica that said nothing for so long is gone. */
  ttlMs: 10_000,
  /** Its row is taken away after so long. */
  removeMs: 60_000,
};
/** A reader who wants news gets what is at most so old. */
const newsMs = 400;

export class Replicas {
  readonly #parts: ReplicasParts;
  readonly #times: typeof defaultTimes;
  readonly #lag = new LoopLag();
  readonly #startedAt: number;
  #ready = false;
  #draining = false;
  #others: ReplicaRow[] = [];
  /** `performance.now()` of the last exchange. */
  #readMs = -Infinity;
  #readyMs = Infinity;
  #takers = '';
  #changedMs = performance.now();
  #messages = 0;
  #messagesMs = performance.now();
  /** What this replica said of late, with `performance.now()` of each time. */
  #told: { connections: number; ms: number }[] = [];
  #exchange: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: ReplicasParts) {
    this.#parts = parts;
    this.#times = { ...defaultTimes, ...parts.times };
    this.#startedAt = parts.clock.now();
  }

  start(): void {
    this.#timer = setInterval(() => void this.tell(), this.#times.everyMs).unref();
    void this.tell();
  }

  /** This replica takes connections from now on. */
  ready(): void {
    this.#ready = true;
    this.#readyMs = performance.now();
    void this.tell();
  }

  /** This replica is about to stop; resolves when the others were told, or could not be. */
  draining(): Promise<void> {
    this.#draining = true;
    return this.tell();
  }

  get readyForMs(): number {
    return Math.max(0, performance.now() - this.#readyMs);
  }

  /** The other replicas, as of the last exchange. */
  get others(): readonly ReplicaRow[] {
    return this.#others;
  }

  /** How long it is that the replicas that take connections are these. */
  get unchangedMs(): number {
    return performance.now() - this.#changedMs;
  }

  /** The least number of connections that this replica told of within two rounds: as old as what is known of the others. Infinity: of none. */
  get steadyConnections(): number {
    return Math.min(...this.#told.map(({ connections }) => connections));
  }

  /** What the row says is so old, in ms of hub time. */
  ageMs(row: ReplicaRow): number {
    return Math.max(0, this.#parts.clock.now() - row.at);
  }

  /** All replicas, this one as it is now, sorted by their start; fresh where they can be read. */
  async read(): Promise<ReplicaRow[]> {
    if (performance.now() - this.#readMs > newsMs) await this.tell();
    const living = this.#others.filter((row) => this.ageMs(row) < this.#times.ttlMs);
    return [...living, this.#own(false)].toSorted((a, b) => a.startedAt - b.startedAt || (a.id < b.id ? -1 : 1));
  }

  /** Takes the own row away. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#lag.close();
    await this.#exchange;
    await this.#parts.store.remove([this.#parts.self.id]).catch(this.#parts.failed);
  }

  /** Writes the own row now and reads those of the others: one exchange at a time; whoever asks during one gets the next. Never rejects. */
  tell(): Promise<void> {
    const running = this.#exchange;
    if (running) return running.then(() => (this.#exchange === undefined ? this.tell() : this.#exchange));
    this.#exchange = this.#talk()
      .catch(this.#parts.failed)
      .finally(() => (this.#exchange = undefined));
    return this.#exchange;
  }

  async #talk(): Promise<void> {
    const { store, self, vanished } = this.#parts;
    const { everyMs, ttlMs, removeMs } = this.#times;
    const own = this.#own(true);
    const now = performance.now();
    this.#told = [...this.#told.filter(({ ms }) => now - ms < 2 * everyMs), { connections: totalOf(own), ms: now }];
    const rows = (await store.exchange(own)).filter(({ id }) => id !== self.id);
    const living = rows.filter((row) => this.ageMs(row) < ttlMs);
    const silent = rows.filter((row) => this.ageMs(row) >= ttlMs);
    for (const { id } of this.#others) {
      const row = silent.find((one) => one.id === id);
      if (row?.draining && totalOf(row) > 0) vanished?.(row);
    }
    this.#others = living;
    this.#readMs = performance.now();
    this.#noticeChange();
    await store.remove(silent.filter((row) => this.ageMs(row) > removeMs).map(({ id }) => id));
  }

  #noticeChange(): void {
    const takers = this.#others.filter(({ ready, draining }) => ready && !draining).map(({ id }) => id);
    const now = takers.toSorted().join();
    if (now === this.#takers) return;
    this.#takers = now;
    this.#changedMs = performance.now();
  }

  /** @param measure whether to count anew what is measured from row to row */
  #own(measure: boolean): ReplicaRow {
    const { self, clock, counts, messages } = this.#parts;
    const now = performance.now();
    const passedMs = Math.max(1, now - this.#messagesMs);
    if (measure && passedMs > newsMs) {
      const total = messages();
      this.#measured = {
        messagesPerSecond: Math.round(((total - this.#messages) / passedMs) * 10_000) / 10,
        loopLagMs: this.#lag.take(),
      };
      this.#messages = total;
      this.#messagesMs = now;
    }
    return {
      ...self,
      startedAt: this.#startedAt,
      at: clock.now(),
      ...counts(),
      ...this.#measured,
      ready: this.#ready && !this.#draining,
      draining: this.#draining,
    };
  }

  #measured = { messagesPerSecond: 0, loopLagMs: 0 };
}

export const totalOf = ({ connections }: Pick<ReplicaRow, 'connections'>): number => connections.agent + connections.user;
