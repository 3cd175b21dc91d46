/** Looks after the hosts of other replicas where those do not tell of them. */

import { newestSamplesBeyond } from '../data/missed.ts';
import { readHostsNow } from '../data/presence.ts';
import type { Sql } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import type { Sample } from '../protocol/kinds.ts';
import type { FleetBoard } from './fleet.ts';

export interface FleetElsewhereOptions {
  sql: Sql;
  board: Pick<FleetBoard, 'elsewhere' | 'stored' | 'sampled'>;
  clock: Clock;
  /** Whether what other replicas tell cannot arrive now. */
  areAway(): boolean;
  /** Told of the first failure of those that follow each other. */
  failed(error: unknown, what: string): void;
  times?: Partial<typeof defaultTimes>;
}

const defaultTimes = {
  /** While nothing arrives, the newest samples are read so often. */
  everyMs: 1_000,
  /** A host is told of every 30 s: after so long its replica is dead, or what it told was lost. */
  silentMs: 40_000,
  /** Whether there are such is looked at so often. */
  lookUpMs: 10_000,
};
/** Hosts in one query. */
const maxHosts = 2_000;
/** An older sample is no news. */
const newsMs = 10_000;

export class FleetElsewhere {
  readonly #options: FleetElsewhereOptions;
  readonly #times: typeof defaultTimes;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #lookedUpMs = performance.now();
  #isFailing = false;
  #isClosed = false;

  constructor(options: FleetElsewhereOptions) {
    this.#options = options;
    this.#times = { ...defaultTimes, ...options.times };
  }

  start(): void {
    this.#later();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  #later(): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#looking = this.#look().finally(() => this.#later());
    }, this.#times.everyMs);
  }

  async #look(): Promise<void> {
    try {
      if (this.#options.areAway()) await this.#readNewest();
      if (performance.now() - this.#lookedUpMs >= this.#times.lookUpMs) await this.#lookUp();
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing) this.#options.failed(error, 'looking after hosts of other replicas');
      this.#isFailing = true;
    }
  }

  async #readNewest(): Promise<void> {
    const { sql, board, clock } = this.#options;
    const atLeast = clock.now() - newsMs;
    const known = Array.from(board.elsewhere(), ({ host, at }) => ({ host, at: Math.max(at ?? 0, atLeast) })).slice(0, maxHosts);
    if (known.length === 0) return;
    for (const { host, frame } of await newestSamplesBeyond(sql, known)) board.sampled(host, JSON.parse(frame) as Sample);
  }

  async #lookUp(): Promise<void> {
    const { sql, board } = this.#options;
    this.#lookedUpMs = performance.now();
    const silent: string[] = [];
    for (const { host, silentMs } of board.elsewhere()) if (silentMs > this.#times.silentMs && silent.length < maxHosts) silent.push(host);
    if (silent.length === 0) return;
    const stored = new Map((await readHostsNow(sql, silent)).map((row) => [row.id, row]));
    for (const host of silent) board.stored(host, stored.get(host));
  }
}
