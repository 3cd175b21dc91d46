/** Reads /proc/meminfo and /proc/vmstat: memory, swap, page faults. */

import type { Collector, Readings } from '../../readings.ts';
import { numberAfter, ProcFile } from './procFile.ts';

const kibibyte = 1024;

export class MemoryCollector implements Collector {
  readonly name = 'memory';
  readonly #meminfo: ProcFile;
  readonly #vmstat: ProcFile;
  readonly #pageBytes: number;

  constructor(pageBytes: number, root = '/proc') {
    this.#pageBytes = pageBytes;
    this.#meminfo = new ProcFile(`${root}/meminfo`);
    this.#vmstat = new ProcFile(`${root}/vmstat`);
  }

  read(readings: Readings): void {
    const info = this.#meminfo.read();
    const bytes = (label: string): number => numberAfter(info, label) * kibibyte;
    const total = bytes('MemTotal:');
    // As `free` counts "buff/cache".
    const cached = bytes('Buffers:') + bytes('Cached:') + (bytes('SReclaimable:') || 0);
    // Kernels before 3.14 do not estimate what is available.
    const available = bytes('MemAvailable:') || bytes('MemFree:') + cached;
    readings.put('memory.total', total);
    readings.put('memory.available', available);
    readings.put('memory.used', total - available);
    readings.put('memory.cached', cached);
    const swap = bytes('SwapTotal:');
    readings.put('swap.total', swap);
    readings.put('swap.used', swap - bytes('SwapFree:'));

    const vmstat = this.#vmstat.read();
    readings.putRate('memory.faults', numberAfter(vmstat, 'pgfault '));
    readings.putRate('memory.major_faults', numberAfter(vmstat, 'pgmajfault '));
    readings.putRate('memory.oom_kills', numberAfter(vmstat, 'oom_kill '));
    if (swap > 0) {
      readings.putRate('swap.in', numberAfter(vmstat, 'pswpin ') * this.#pageBytes);
      readings.putRate('swap.out', numberAfter(vmstat, 'pswpout ') * this.#pageBytes);
    }
  }

  close(): void {
    this.#meminfo.close();
    this.#vmstat.close();
  }
}
