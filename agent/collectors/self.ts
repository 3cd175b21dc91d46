/** Reports what the agent itself costs. */

import type { Collector, Readings } from '../readings.ts';

export interface SelfFigures {
  /** Publications not yet committed. */
  spool: number;
  /** Publications given up since the start. */
  dropped: number;
  /** Bytes written to the hub since the start. */
  sentBytes: number;
  /** Bytes that wait on disk. */
  spoolBytes?: number;
  /** How long the oldest has waited; undefined where that cannot be told yet. */
  spoolAgeMs?: number | undefined;
  /** How long the agent can be without a hub before it has to give samples up; undefined in the first seconds. */
  spoolLeftMs?: number | undefined;
}

export class SelfCollector implements Collector {
  readonly name = 'agent';
  readonly #figures: () => SelfFigures;

  constructor(figures: () => SelfFigures) {
    this.#figures = figures;
  }

  read(readings: Readings): void {
    const { user, system } = process.cpuUsage();
    const figures = this.#figures();
    readings.put('agent.cpu', readings.rates.shareOfTime('agent.cpu', (user + system) / 1000));
    readings.put('agent.memory', process.memoryUsage.rss());
    readings.put('agent.spool', figures.spool);
    if (figures.spoolBytes !== undefined) readings.put('agent.spool_bytes', figures.spoolBytes);
    if (figures.spoolAgeMs !== undefined) readings.put('agent.spool_age', figures.spoolAgeMs / 1000);
    if (figures.spoolLeftMs !== undefined) readings.put('agent.spool_left', figures.spoolLeftMs / 1000);
    readings.putRate('agent.sent', figures.sentBytes);
    if (figures.dropped > 0) readings.put('agent.dropped', figures.dropped);
  }

  close(): void {}
}
