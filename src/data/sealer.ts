/** Seals closed minutes in the background: samples into chunks, chunks into rollups. */

import { ChunkError } from '../chunks/bytes.ts';
import { decodeRollups, encodeRollups, joinRollups } from '../chunks/rollups.ts';
import type { RollupBlock } from '../chunks/rollups.ts';
import type { Pool, Sql } from '../db/database.ts';
import { isAway } from '../db/fault.ts';
import type { Clock } from '../lib/clock.ts';
import { Repeat } from '../lib/repeat.ts';
import type { MetricNames } from './metricNames.ts';
import { hotKeptMs } from './partitions.ts';
import { findRollupRows, putRollups } from './rollups.ts';
import type { RollupRow } from './rollups.ts';
import { sealMinutes } from './sealMinutes.ts';
import type { SealEvents } from './sealMinutes.ts';
import * as work from './sealWork.ts';
import { hourMs, minuteMs } from './tiers.ts';

export interface SealerOptions extends SealEvents {
  sql: Pool;
  clock: Clock;
  names: MetricNames;
  retentionRawMs: number;
  /** A minute is closed so long after its end: what comes later costs a second writing of its chunk. */
  graceMs?: number;
  everyMs?: number;
  /** Host-minutes in one transaction, and bytes of their rows: hosts may send as much in a minute as others in a day. */
  batch?: number;
  batchBytes?: number;
  /** A replica whose transaction takes longer, frozen perhaps, loses its part to the others. */
  stuckMs?: number;
  /** One transaction of sealing took so long. */
  took?(seconds: number): void;
  /** Told when a round failed; the next one goes on where it stopped. */
  failed(error: unknown): void;
}

/** Hosts' minutes listed by one statement stay few, also after a long time without a hub. */
const listMinutesAtOnce = 60;
const hoursAtOnce = 32;
/** How long what still runs is waited for, within a transaction; it is mostly over in milliseconds. */
const waitMs = 2_000;
const lookMs = 20;
/** Between rounds that fail. */
const maxPauseMs = 60_000;

/** All replicas seal at the same time, each one part of the hosts after the other, whichever is free. */
export class Sealer {
  readonly #options: SealerOptions & Required<Pick<SealerOptions, 'graceMs' | 'batch' | 'batchBytes' | 'stuckMs'>>;
  readonly #rounds: Repeat;
  #closed = false;
  /** Rounds in a row. */
  #failures = 0;

  /** Up to where all minutes were listed when hours were last looked for. */
  #rolledUpUntil = 0;

  constructor(options: SealerOptions) {
    const { graceMs = minuteMs, everyMs = 5_000, batch = 64, batchBytes = 32 * 1024 * 1024, stuckMs = minuteMs } = options;
    this.#options = { ...options, graceMs, batch, batchBytes, stuckMs };
    this.#rounds = new Repeat(
      () => this.#round(),
      // Replicas that started together need not ask together.
      () => Math.min(maxPauseMs, everyMs * 2 ** this.#failures) * (0.75 + Math.random() / 2),
    );
  }

  start(): void {
    this.#rounds.start();
  }

  /** Ends the round that is under way after its current transaction. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#rounds.close();
  }

  /** One round: closes what is due, seals all that is listed, then rolls up the hours; without what other replicas are at. */
  async seal(): Promise<void> {
    const { sql, graceMs } = this.#options;
    await work.closeMinutes(sql, graceMs);
    while (await this.#step('list', (tx) => this.#list(tx)));
    const someSealed = await this.#eachPart(
      () => work.partsToSeal(sql),
      (part) => this.#sealPart(part),
    );
    const { listedUntil } = await work.readState(sql);
    if (!someSealed && listedUntil === this.#rolledUpUntil) return;
    await this.#eachPart(
      () => work.partsToRollUp(sql, listedUntil),
      (part) => this.#step(part, (tx) => this.#rollUpHours(tx, part)),
    );
    this.#rolledUpUntil = listedUntil;
  }

  async #round(): Promise<void> {
    try {
      await this.seal();
      this.#failures = 0;
    } catch (error) {
      this.#failures++;
      this.#options.failed(error);
    }
  }

  /**
   * Runs a step of each part that has something to do until none has, or others do the rest; true where there was something. A part that
   * fails keeps no other waiting; the first error is thrown at the end.
   */
  async #eachPart(find: () => Promise<work.Part[]>, run: (part: work.Part) => Promise<boolean>): Promise<boolean> {
    const failed = new Map<work.Part, unknown>();
    for (let someDone = false; ;) {
      const found = (await find()).filter((part) => !failed.has(part));
      let moved = false;
      for (const part of shuffled(found)) {
        try {
          moved = (await run(part)) || moved;
        } catch (error) {
          if (isAway(error)) throw error;
          failed.set(part, error);
        }
      }
      someDone ||= moved;
      if (moved) continue;
      if (found.length > 0) await work.endStuck(this.#options.sql, this.#options.stuckMs);
      for (const error of failed.values()) throw error;
      return someDone;
    }
  }

  /** Runs a transaction under the lock of a share; true where there may be more to do. */
  async #step(share: work.Share, run: (sql: Sql) => Promise<(() => void) | undefined>): Promise<boolean> {
    if (this.#closed) return false;
    const done = await this.#options.sql.begin(async (sql) => ((await work.tryLock(sql, share)) ? run(sql) : undefined));
    done?.();
    return done !== undefined;
  }

  /** Lists the hosts of minutes that were closed, once no statement runs that may still add to them unnoticed. */
  async #list(sql: Sql): Promise<(() => void) | undefined> {
    const { closedUntil, listedUntil } = await work.readState(sql);
    if (listedUntil >= closedUntil) return undefined;
    const next = (await over(() => work.isUnaware(sql))) ? await work.nextTransaction(sql) : undefined;
    if (next === undefined || !(await over(() => work.isOlderRunning(sql, next)))) {
      await work.endStuck(sql, this.#options.stuckMs);
      return undefined;
    }
    const far = closedUntil - listedUntil > listMinutesAtOnce * minuteMs;
    const firstMs = far ? ((await work.firstSince(sql, listedUntil)) ?? closedUntil) : listedUntil;
    const fromMs = Math.min(closedUntil, Math.floor(firstMs / minuteMs) * minuteMs);
    const toMs = Math.min(closedUntil, fromMs + listMinutesAtOnce * minuteMs);
    if (toMs > fromMs) await work.listMinutes(sql, fromMs, toMs);
    await work.setListed(sql, toMs);
    return () => {};
  }

  async #sealPart(part: work.Part): Promise<boolean> {
    for (let most = this.#options.batch; ; most = 1) {
      try {
        return await this.#step(part, (tx) => this.#sealSome(tx, part, most));
      } catch (error) {
        if (isAway(error)) throw error;
        // Next one by one, so that one that PostgreSQL refuses keeps no other waiting.
        if (most > 1) continue;
        await this.#step(part, async (tx) => {
          const taken = await work.takeWork(tx, part, 1);
          await work.putBack(
            tx,
            // The column is a smallint.
            taken.map((one) => ({ ...one, tries: Math.min(one.tries + 1, 1_000) })),
          );
          return undefined;
        });
        throw error;
      }
    }
  }

  async #sealSome(sql: Sql, part: work.Part, most: number): Promise<(() => void) | undefined> {
    const { clock, retentionRawMs, took } = this.#options;
    const begunMs = performance.now();
    const taken = await work.takeWork(sql, part, most);
    if (taken.length === 0) return undefined;
    const nowMs = clock.now();
    const fitting = await work.limitWork(sql, taken, this.#options.batchBytes);
    const done = await sealMinutes(this.#options, sql, fitting, {
      expiredBeforeMs: nowMs - retentionRawMs,
      leftoversBeforeMs: nowMs - hotKeptMs,
    });
    return () => {
      done();
      took?.((performance.now() - begunMs) / 1000);
    };
  }

  /** Idempotent: made out of the minutes that are there, each weighted by its samples. */
  async #rollUpHours(sql: Sql, part: work.Part): Promise<(() => void) | undefined> {
    const { names } = this.#options;
    const { listedUntil } = await work.readState(sql);
    const hours = await work.takeHours(sql, part, listedUntil, hoursAtOnce);
    if (hours.length === 0) return undefined;
    const rows = await findRollupRows(
      sql,
      '1m',
      hours.map(({ host, hour }) => ({ host, fromMs: hour, toMs: hour + hourMs })),
    );
    const made: { host: string; at: number; block: RollupBlock }[] = [];
    for (const { host, hour } of hours) {
      const blocks: RollupBlock[] = [];
      for (const row of rows) {
        if (row.host !== host || row.at < hour || row.at >= hour + hourMs) continue;
        const block = await this.#decode(sql, row);
        if (block) blocks.push(block);
      }
      if (blocks.length > 0) made.push({ host, at: hour, block: joinRollups(blocks, hourMs) });
    }
    const interned = await names.intern(
      sql,
      made.flatMap(({ block }) => [...block.series.keys()]),
    );
    await putRollups(
      sql,
      '1h',
      made.map(({ host, at, block }) => ({ host, at, data: encodeRollups(block, interned.numberOf) })),
    );
    return () => interned.keep();
  }

  async #decode(sql: Sql, row: RollupRow): Promise<RollupBlock | undefined> {
    const { names, corrupt } = this.#options;
    try {
      return await names.decode(sql, () => decodeRollups(row.data, names.nameOf));
    } catch (error) {
      if (!(error instanceof ChunkError)) throw error;
      corrupt?.(error, { host: row.host, kind: '1m', minute: row.at });
      return undefined;
    }
  }
}

/** In any order, so that replicas rarely meet at one part. */
function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, place: Math.random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}

/** Waits until `busy` says false; false where it did not in time. */
async function over(busy: () => Promise<boolean>): Promise<boolean> {
  for (const deadline = performance.now() + waitMs; await busy();) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
  return true;
}
