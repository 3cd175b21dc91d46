/** Looks after the hosts of other replicas where those do not tell of them. */

import { newestSamplesBeyond } from '../data/missed.ts';
import { readHostsNow } from '../data/presence.ts';
import type { Sql } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import { Repeat } from '../lib/repeat.ts';
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
  readonly #looking: Repeat;
  #lookedUpMs = performance.now();
  #wereAway = false;
  #isFailing = false;

  constructor(options: FleetElsewhereOptions) {
    this.#options = options;
    this.#times = { ...defaultTimes, ...options.times };
    this.#looking = new Repeat(
      () => this.#look(),
      () => this.#times.everyMs,
    );
  }

  start(): void {
    this.#looking.start();
  }

  close(): Promise<void> {
    return this.#looking.close();
  }

  async #look(): Promise<void> {
    try {
      const areAway = this.#options.areAway();
      const isDue = performance.now() - this.#lookedUpMs >= this.#times.lookUpMs || (areAway && !this.#wereAway);
      if (isDue) await this.#lookUp(areAway);
      if (areAway) await this.#readNewest();
      this.#wereAway = areAway;
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

  /** @param areAway then hosts that nobody could tell of are found too */
  async #lookUp(areAway: boolean): Promise<void> {
    const { sql, board } = this.#options;
    this.#lookedUpMs = performance.now();
    const silent = new Set<string>();
    const known = new Set<string>();
    for (const { host, silentMs } of board.elsewhere()) {
      known.add(host);
      if (silentMs > this.#times.silentMs && silent.size < maxHosts) silent.add(host);
    }
    if (silent.size === 0 && !areAway) return;
    const rows = await readHostsNow(sql, [...silent], areAway);
    for (const row of rows) if (silent.delete(row.id) || !known.has(row.id)) board.stored(row.id, row);
    for (const host of silent) board.stored(host, undefined);
  }
}
