/** Lets slow readings run beside the tick: what takes long is started now and shown by a later tick. */

import type { Collector, Readings } from '../readings.ts';

/** Name → value of one finished round. */
export type Findings = [name: string, device: string, value: number][];

/**
 * Runs `look` every `everyMs` of the monotonic clock, never twice at once, and puts what it found into the first sample after it
 * finished. A failure is thrown in the tick after it, so that it is reported like that of any collector.
 */
export class BackgroundCollector implements Collector {
  readonly name: string;
  readonly #everyMs: number;
  readonly #look: () => Promise<Findings>;
  #dueMs = -Infinity;
  #running = false;
  #found: Findings | undefined;
  #failure: Error | undefined;

  constructor(name: string, everyMs: number, look: () => Promise<Findings>) {
    this.name = name;
    this.#everyMs = everyMs;
    this.#look = look;
  }

  read(readings: Readings): void {
    for (const [name, device, value] of this.#found ?? []) readings.putFor(name, device, value);
    this.#found = undefined;
    // A little early, so that a tick a millisecond short of the interval does not wait for the next.
    if (!this.#running && readings.nowMs >= this.#dueMs - 100) this.#start(readings.nowMs);
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure) throw failure;
  }

  #start(nowMs: number): void {
    this.#running = true;
    this.#dueMs = nowMs + this.#everyMs;
    this.#look()
      .then(
        (found) => {
          this.#found = found;
        },
        (error: unknown) => {
          this.#failure = error instanceof Error ? error : new Error(String(error));
        },
      )
      .finally(() => {
        this.#running = false;
      });
  }

  close(): void {
    this.#dueMs = Infinity;
  }
}
