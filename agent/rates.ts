/** Turns counters into rates: the only place where two readings are compared. */

interface Entry {
  /** Monotonic ms of the reading. */
  atMs: number;
  values: number[];
}

/** Readings closer together than this are not compared: the kernel counts in steps of 10 ms, so the quotient would be noise. */
const minGapMs = 100;

const within01 = (value: number): number => Math.min(1, Math.max(0, value));

/**
 * Remembers the last reading of each counter under a key. Every method gives `undefined` when no honest rate exists: on the
 * first reading, after a reset or wrap (a counter went down), after a gap longer than `maxGapMs`, or for readings that are not
 * finite. So a restart, a suspended machine or a replaced device is a hole in the chart and never a spike.
 */
export class Rates {
  readonly #maxGapMs: number;
  readonly #entries = new Map<string, Entry>();
  #nowMs = 0;

  constructor(maxGapMs: number) {
    this.#maxGapMs = maxGapMs;
  }

  /** How many counters are remembered. */
  get size(): number {
    return this.#entries.size;
  }

  /** Begins a round of readings at a moment of the monotonic clock; forgets counters that were not read for long. */
  begin(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const [key, entry] of this.#entries) if (nowMs - entry.atMs > this.#maxGapMs) this.#entries.delete(key);
  }

  /** Forgets every counter whose key begins so, as when a device was replaced by another of the same name. */
  forget(prefix: string): void {
    for (const key of this.#entries.keys()) if (key.startsWith(prefix)) this.#entries.delete(key);
  }

  /** Increase per second. */
  perSecond(key: string, counter: number): number | undefined {
    const gap = this.#compare(key, [counter]);
    return gap && (gap.increases[0]! * 1000) / gap.ms;
  }

  /** Share of real time: the increase of a counter of milliseconds over the milliseconds that passed, 0…1. */
  shareOfTime(key: string, counterMs: number): number | undefined {
    const gap = this.#compare(key, [counterMs]);
    return gap && within01(gap.increases[0]! / gap.ms);
  }

  /** Increase of one counter per increase of another, such as waiting time per operation; 0 while the second stands still. */
  perUnit(key: string, counter: number, units: number): number | undefined {
    const gap = this.#compare(key, [counter, units]);
    if (!gap) return undefined;
    return gap.increases[1]! > 0 ? gap.increases[0]! / gap.increases[1]! : 0;
  }

  /**
   * How an interval divides among counters that together count all of it, each 0…1. A single one may step back a little (the
   * kernel's idle and iowait do): it counts as standing still; if their sum goes down it was a reset.
   */
  shares(key: string, counters: readonly number[]): number[] | undefined {
    const gap = this.#compare(key, counters, true);
    if (!gap) return undefined;
    const increases = gap.increases.map((increase) => Math.max(0, increase));
    const all = increases.reduce((sum, increase) => sum + increase, 0);
    return all > 0 ? increases.map((increase) => within01(increase / all)) : undefined;
  }

  #compare(key: string, values: readonly number[], mayStepBack = false): { ms: number; increases: number[] } | undefined {
    if (!values.every(Number.isFinite)) return undefined;
    const last = this.#entries.get(key);
    const ms = last ? this.#nowMs - last.atMs : Infinity;
    // The earlier reading stays, so that the next one is compared over a longer time.
    if (ms < minGapMs) return undefined;
    this.#entries.set(key, { atMs: this.#nowMs, values: [...values] });
    if (!last || ms > this.#maxGapMs || last.values.length !== values.length) return undefined;
    const increases = values.map((value, index) => value - last.values[index]!);
    const wasReset = mayStepBack ? increases.reduce((sum, increase) => sum + increase, 0) <= 0 : increases.some((increase) => increase < 0);
    return wasReset ? undefined : { ms, increases };
  }
}
