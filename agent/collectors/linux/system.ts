/** Reads what concerns the whole system: load, open files, uptime. */

import type { Collector, Readings } from '../../readings.ts';
import { ProcFile } from './procFile.ts';

export class SystemCollector implements Collector {
  readonly name = 'system';
  readonly #loadavg: ProcFile;
  readonly #files: ProcFile;
  readonly #uptime: ProcFile;

  constructor(root = '/proc') {
    this.#loadavg = new ProcFile(`${root}/loadavg`);
    this.#files = new ProcFile(`${root}/sys/fs/file-nr`);
    this.#uptime = new ProcFile(`${root}/uptime`);
  }

  read(readings: Readings): void {
    const [load1, load5, load15] = this.#loadavg.read().split(' ');
    readings.put('load.1', Number(load1));
    readings.put('load.5', Number(load5));
    readings.put('load.15', Number(load15));
    readings.put('descriptors.open', Number.parseInt(this.#files.read(), 10));
    readings.put('uptime', Math.floor(Number.parseFloat(this.#uptime.read())));
  }

  close(): void {
    for (const file of [this.#loadavg, this.#files, this.#uptime]) file.close();
  }
}
