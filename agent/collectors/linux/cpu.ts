/** Reads /proc/stat: how the processors spend their time. */

import type { Collector, Readings } from '../../readings.ts';
import { numberAfter, ProcFile } from './procFile.ts';

/** The columns of a cpu line. Guest time is contained in user and nice, so the last two columns are not read. */
const [user, nice, system, idle, iowait, irq, softirq, steal] = [0, 1, 2, 3, 4, 5, 6, 7] as const;
const columns = 8;

export class CpuCollector implements Collector {
  readonly name = 'cpu';
  readonly #stat: ProcFile;

  constructor(root = '/proc') {
    this.#stat = new ProcFile(`${root}/stat`);
  }

  read(readings: Readings): void {
    const text = this.#stat.read();
    let start = 0;
    while (text.startsWith('cpu', start)) {
      const end = text.indexOf('\n', start);
      const [label, ...times] = text
        .slice(start, end)
        .trim()
        .split(/ +/, columns + 1);
      this.#line(readings, label!.slice('cpu'.length), times.map(Number));
      start = end + 1;
    }
    const rest = text.slice(start);
    readings.putRate('kernel.context_switches', numberAfter(rest, 'ctxt '));
    readings.putRate('kernel.forks', numberAfter(rest, 'processes '));
    readings.put('processes.running', numberAfter(rest, 'procs_running '));
    readings.put('processes.blocked', numberAfter(rest, 'procs_blocked '));
  }

  #line(readings: Readings, core: string, times: number[]): void {
    const shares = readings.rates.shares(`cpu${core}`, times);
    if (!shares) return;
    // Old kernels have fewer columns.
    const share = (column: number): number => shares[column] ?? 0;
    const busy = 1 - share(idle) - share(iowait);
    if (core) {
      readings.put(`cpu.core${core}.busy`, Math.max(0, busy));
      return;
    }
    readings.put('cpu.busy', Math.max(0, busy));
    readings.put('cpu.user', share(user));
    readings.put('cpu.nice', share(nice));
    readings.put('cpu.system', share(system));
    readings.put('cpu.irq', share(irq) + share(softirq));
    readings.put('cpu.iowait', share(iowait));
    readings.put('cpu.steal', share(steal));
  }

  close(): void {
    this.#stat.close();
  }
}
