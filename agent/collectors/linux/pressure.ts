/** Reads /proc/pressure: the share of time in which work waited for a resource. */

import type { Collector, Readings } from '../../readings.ts';
import { lineAfter, ProcFile } from './procFile.ts';

/** One resource per collector: a kernel may know one without another. The kernel's own averages are too slow for a chart of seconds. */
export class PressureCollector implements Collector {
  readonly name: string;
  readonly #resource: string;
  readonly #file: ProcFile;

  constructor(resource: 'cpu' | 'memory' | 'io', root = '/proc') {
    this.name = `pressure.${resource}`;
    this.#resource = resource;
    this.#file = new ProcFile(`${root}/pressure/${resource}`);
  }

  read(readings: Readings): void {
    const text = this.#file.read();
    for (const how of ['some', 'full'] as const) {
      const stalledUs = /total=(\d+)/.exec(lineAfter(text, `${how} `) ?? '')?.[1];
      // Older kernels have no "full" for the processors.
      if (stalledUs === undefined) continue;
      const name = `pressure.${this.#resource}.${how}`;
      readings.put(name, readings.rates.shareOfTime(name, Number(stalledUs) / 1000));
    }
  }

  close(): void {
    this.#file.close();
  }
}
