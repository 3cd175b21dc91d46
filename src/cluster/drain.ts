/** Closes the connections of a replica that stops, at the pace at which the others can take them. */

import { setTimeout as wait } from 'node:timers/promises';
import type { Client } from '../hub/client.ts';
import { closes } from '../protocol/codes.ts';
import { isIdle, sample } from './clients.ts';
import { closeNow, drainBudget, drainEndMs, drainWindowMs, type DrainBudget, type DrainView } from './pace.ts';

export interface DrainParts {
  /** From the signal to the end of the process. */
  graceMs: number;
  /** The connected ones. */
  clients(): Iterable<Client>;
  /** All replicas that stop but this one, and those that stay. */
  others(): DrainView;
  log: { info(details: object, message: string): void; warn(details: object, message: string): void };
  /** The time does not suffice for the pace. */
  incomplete(): void;
  /** Which part of the grace it has taken so far. */
  took(graceRatio: number): void;
}

const tickMs = 250;

export class Drain {
  readonly #parts: DrainParts;
  readonly budget: DrainBudget;
  #startedMs: number | undefined;
  #isClosing = false;
  #running: Promise<void> | undefined;

  constructor(parts: DrainParts) {
    this.#parts = parts;
    this.budget = drainBudget(parts.graceMs);
  }

  /** Whether new connections would only be closed again. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /**
   * Resolves when all connections were told to go elsewhere, or when there is no replica that could take them. Called again it goes on with
   * what is left; its times count from the first call.
   */
  run(): Promise<void> {
    this.#startedMs ??= performance.now();
    return (this.#running ??= this.#run(this.#startedMs).finally(() => (this.#running = undefined)));
  }

  async #run(startedMs: number): Promise<void> {
    const { log } = this.#parts;
    if (this.#isAlone() || (this.#isClosing && this.#open().length === 0)) return;
    log.info({ connections: this.#open().length, ...this.#view() }, 'draining; still serving while load balancers learn of it');
    const settledMs = startedMs + this.budget.settleMs;
    while (performance.now() < settledMs && !this.#isAlone()) await this.#tick(settledMs - performance.now());
    this.#isClosing = true;
    await this.#closeAll(settledMs + this.budget.windowMs);
    log.info({ seconds: Math.round(this.#tellProgress() / 100) / 10, left: this.#open().length }, 'drained');
  }

  async #closeAll(latestMs: number): Promise<void> {
    const { log, incomplete } = this.#parts;
    const needed = drainWindowMs(this.#view());
    let endMs = performance.now() + Math.min(needed, this.budget.windowMs);
    if (needed > this.budget.windowMs && this.#open().length > 0 && !this.#isAlone()) {
      incomplete();
      log.warn(
        { neededMs: Math.round(needed), ...this.budget },
        'the grace is too short: clients are closed faster than they can be taken',
      );
    }
    for (let open = this.#open(); open.length > 0 && !this.#isAlone(); open = this.#open()) {
      const nowMs = performance.now();
      endMs = drainEndMs(this.#view(), { nowMs, endMs, latestMs });
      this.#close(open, closeNow({ left: open.length, nowMs, endMs, tickMs }, Math.random()));
      if (nowMs >= endMs) return;
      await this.#tick();
    }
  }

  #tick(atMostMs = tickMs): Promise<void> {
    this.#tellProgress();
    return wait(Math.max(0, Math.min(tickMs, atMostMs)));
  }

  /** Gives how long it takes by now. */
  #tellProgress(): number {
    const tookMs = performance.now() - (this.#startedMs ?? performance.now());
    this.#parts.took(tookMs / Math.max(1, this.#parts.graceMs));
    return tookMs;
  }

  /** Those first who wait for no answer. */
  #close(open: readonly Client[], count: number): void {
    const first = sample(open.filter(isIdle), count);
    const rest = sample(
      open.filter((client) => !isIdle(client)),
      count - first.length,
    );
    for (const client of [...first, ...rest]) client.close(closes.shutdown);
  }

  #open(): Client[] {
    return Array.from(this.#parts.clients()).filter(({ closed }) => !closed);
  }

  #view(): DrainView {
    const { draining, survivors } = this.#parts.others();
    return { draining: draining + this.#open().length, survivors };
  }

  #isAlone(): boolean {
    return this.#parts.others().survivors === 0;
  }
}
