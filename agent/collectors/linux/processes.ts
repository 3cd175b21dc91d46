/** Finds the processes that use the most CPU, memory or I/O. */

import { readdirSync, statSync } from 'node:fs';
import type { Process } from '../../../src/protocol/kinds.ts';
import type { Collector, Readings } from '../../readings.ts';
import type { MachineConstants } from './auxv.ts';
import { numberAfter, readOnce } from './procFile.ts';
import { UserNames } from './users.ts';

const topPerMeasure = 5;
/** Above this many, counting them every second would cost more than it tells. */
const manyProcesses = 1_000;

interface Known {
  /** Start time in ticks since boot: tells a reused pid from the same process. */
  started: string;
  ticks: number;
  /** Bytes read and written since its start; undefined where we may not know. */
  ioBytes: number | undefined;
}

interface Scanned extends Known {
  pid: number;
  name: string;
  memory: number;
  cpu: number;
  io: number;
}

/** Puts the number of processes into each sample; `scan` compares all of them with the scan before. */
export class ProcessesCollector implements Collector {
  readonly name = 'processes';
  readonly #root: string;
  readonly #constants: MachineConstants;
  readonly #users: UserNames;
  #known = new Map<string, Known>();
  /** The latest start among the processes of the last scan. */
  #newestStart = 0;
  #scannedMs: number | undefined;
  #counted = { atMs: -Infinity, count: 0 };

  constructor(constants: MachineConstants, root = '/proc', users = '/etc/passwd') {
    this.#constants = constants;
    this.#root = root;
    this.#users = new UserNames(users);
  }

  read(readings: Readings): void {
    const { atMs, count } = this.#counted;
    if (count < manyProcesses || readings.nowMs - atMs >= 9_900) this.#counted = { atMs: readings.nowMs, count: this.#pids().length };
    readings.put('processes.total', this.#counted.count);
  }

  /** The top processes since the scan before; empty at the first, which has nothing to compare with. `nowMs`: monotonic. */
  scan(nowMs: number): Process[] {
    const seconds = this.#scannedMs === undefined ? 0 : (nowMs - this.#scannedMs) / 1000;
    const known = new Map<string, Known>();
    let newestStart = this.#newestStart;
    const scanned: Scanned[] = [];
    for (const pid of this.#pids()) {
      const process = this.#process(pid, seconds);
      if (!process) continue;
      known.set(pid, { started: process.started, ticks: process.ticks, ioBytes: process.ioBytes });
      scanned.push(process);
      newestStart = Math.max(newestStart, Number(process.started));
    }
    this.#known = known;
    this.#newestStart = newestStart;
    this.#scannedMs = nowMs;
    return seconds > 0 ? this.#top(scanned) : [];
  }

  #pids(): string[] {
    return readdirSync(this.#root).filter((name) => name.charCodeAt(0) >= 49 && name.charCodeAt(0) <= 57);
  }

  /** Undefined for one that ended meanwhile or that we may not see. */
  #process(pid: string, seconds: number): Scanned | undefined {
    const text = this.#attempt(`${pid}/stat`);
    if (text === undefined) return undefined;
    // The name stands in brackets and may itself hold brackets and spaces.
    const end = text.lastIndexOf(')');
    const fields = text.slice(end + 2).split(' ');
    const [started, rssPages] = [fields[19]!, Number(fields[21])];
    const ticks = Number(fields[11]) + Number(fields[12]);
    // Kernel threads have no memory of their own, and their I/O is that of others.
    const ioBytes = rssPages > 0 ? this.#ioBytes(pid) : undefined;
    const last = this.#known.get(pid);
    const same = last?.started === started ? last : undefined;
    // One that began after the last scan used all it used since then; an older one that we did not see then has no honest rate.
    const isNew = !same && Number(started) >= this.#newestStart;
    const perSecond = (now: number | undefined, before: number | undefined): number =>
      seconds > 0 && now !== undefined ? Math.max(0, now - (isNew ? 0 : (before ?? now))) / seconds : 0;
    return {
      started,
      ticks,
      ioBytes,
      pid: Number(pid),
      name: Buffer.from(text.slice(text.indexOf('(') + 1, end), 'latin1').toString(),
      memory: rssPages * this.#constants.pageBytes,
      cpu: Math.round((perSecond(ticks, same?.ticks) / this.#constants.ticksPerSecond) * 1000) / 1000,
      io: Math.round(perSecond(ioBytes, same?.ioBytes)),
    };
  }

  #ioBytes(pid: string): number | undefined {
    const text = this.#attempt(`${pid}/io`);
    const bytes = text === undefined ? Number.NaN : numberAfter(text, 'read_bytes: ') + numberAfter(text, 'write_bytes: ');
    return Number.isFinite(bytes) ? bytes : undefined;
  }

  #attempt(path: string): string | undefined {
    try {
      return readOnce(`${this.#root}/${path}`);
    } catch (error) {
      // ENOENT and ESRCH: it ended. EACCES: another user's. Anything else is a fault of the whole group.
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return undefined;
      throw error;
    }
  }

  #top(scanned: Scanned[]): Process[] {
    const chosen = new Set<Scanned>();
    for (const measure of ['cpu', 'memory', 'io'] as const) {
      const most = scanned.filter((process) => process[measure] > 0).toSorted((one, other) => other[measure] - one[measure]);
      for (const process of most.slice(0, topPerMeasure)) chosen.add(process);
    }
    return [...chosen]
      .toSorted((one, other) => other.cpu - one.cpu || other.memory - one.memory)
      .map(({ pid, name, cpu, memory, io }) => ({ pid, name, user: this.#user(pid), cpu, memory, io }));
  }

  #user(pid: number): string {
    try {
      return this.#users.name(statSync(`${this.#root}/${pid}`).uid);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
      throw error;
    }
  }

  close(): void {
    this.#known.clear();
  }
}
