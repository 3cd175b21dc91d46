/** Measures how late the event loop is. */

import { monitorEventLoopDelay } from 'node:perf_hooks';

const resolutionMs = 20;

export class LoopLag {
  readonly #histogram = monitorEventLoopDelay({ resolution: resolutionMs });

  constructor() {
    this.#histogram.enable();
  }

  /** The 99th percentile in ms since the last call; 0 when nothing was measured. */
  take(): number {
    const lateMs = this.#histogram.count === 0 ? 0 : this.#histogram.percentile(99) / 1e6 - resolutionMs;
    this.#histogram.reset();
    return Math.max(0, Math.round(lateMs * 10) / 10);
  }

  close(): void {
    this.#histogram.disable();
  }
}
