/** Reports what the agent itself costs. */

import type { Collector, Readings } from '../readings.ts';

export interface SelfFigures {
  /** Publications not yet committed. */
  spool: number;
  /** Publications given up since the start. */
  dropped: number;
  /** Bytes written to the hub since the start. */
  sentBytes: number;
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
    readings.putRate('agent.sent', figures.sentBytes);
    if (figures.dropped > 0) readings.put('agent.dropped', figures.dropped);
  }

  close(): void {}
}
