/** What a collector is and how it hands over its figures. */

import { lookUp, metricName, rounded, type Metric } from '../src/protocol/metrics.ts';
import type { Rates } from './rates.ts';

/** Reads one group of metrics. `read` never blocks on anything slow and throws when the group cannot be read this time. */
export interface Collector {
  name: string;
  /** Called once per tick, right after `readings.rates.begin`. */
  read(readings: Readings): void;
  /** Lets go of files, timers and children. */
  close(): void;
}

/** At most so many names stand in a sample; the hub refuses more. */
export const maxMetrics = 2_000;

/** Collects the metrics of one sample, rounded as the catalogue says. */
export class Readings {
  /** Monotonic ms of this tick. */
  nowMs = 0;
  readonly rates: Rates;
  /** Metrics left out because a sample was full. */
  dropped = 0;
  #metrics: Record<string, number> = {};
  #count = 0;
  /** Concrete name → catalogue entry, so that a name is taken apart once; bounded like a sample. */
  readonly #known = new Map<string, Metric | undefined>();

  constructor(rates: Rates) {
    this.rates = rates;
  }

  /** Starts the next sample. */
  begin(nowMs: number): void {
    this.nowMs = nowMs;
    this.#metrics = {};
    this.#count = 0;
    this.rates.begin(nowMs);
  }

  /** Adds one metric; an undefined (no honest rate), negative or non-finite value is left out. */
  put(name: string, value: number | undefined): void {
    if (value === undefined || !Number.isFinite(value)) return;
    if (!this.#known.has(name)) {
      if (this.#known.size > 2 * maxMetrics) this.#known.clear();
      this.#known.set(name, lookUp(name)?.metric);
    }
    const metric = this.#known.get(name);
    if (value < 0 && metric?.unit !== '°C') return;
    if (!(name in this.#metrics) && ++this.#count > maxMetrics) {
      this.dropped += 1;
      return;
    }
    this.#metrics[name] = metric ? rounded(metric, value) : value;
  }

  /** Adds a metric of a device, by its catalogue name such as `net.*.receive`. */
  putFor(name: string, device: string, value: number | undefined): void {
    if (value !== undefined) this.put(metricName(name, device), value);
  }

  /** Adds a counter's increase per second under the metric's own name. */
  putRate(name: string, counter: number): void {
    this.put(name, this.rates.perSecond(name, counter));
  }

  /** The sample so far. */
  get metrics(): Readonly<Record<string, number>> {
    return this.#metrics;
  }
}
