/** Takes a sample: asks every collector, numbers what it found. */

import type { Process } from '../src/protocol/kinds.ts';
import type { Collector } from './readings.ts';
import { Readings } from './readings.ts';
import type { HubClock } from './clock.ts';
import type { Log } from './log.ts';
import { Rates } from './rates.ts';
import type { Draft } from './spool.ts';

/** Compares all processes with the call before and gives the top ones. */
export type ProcessScan = (nowMs: number) => Process[];

export interface SamplerParts {
  boot: string;
  intervalMs: number;
  clock: HubClock;
  collectors: readonly Collector[];
  /** Missing where the platform has none. */
  scanProcesses?: ProcessScan;
  log: Log;
}

const processesEveryMs = 10_000;
const processesAtMostEveryMs = 5_000;
/** Scans may take this share of a processor; on a machine with very many processes they become rarer. */
const scanShare = 1 / 500;
const retryFirstMs = 1_000;
const retryLastMs = 60_000;

interface Trouble {
  message: string;
  retryMs: number;
  waitMs: number;
}

export class Sampler {
  readonly #parts: SamplerParts;
  readonly #readings: Readings;
  readonly #troubles = new Map<string, Trouble>();
  #seq = 0;
  #scannedMs = -Infinity;
  #scanPauseMs = 0;

  constructor(parts: SamplerParts) {
    this.#parts = parts;
    // A few lost ticks are an average; a suspended machine is a gap.
    this.#readings = new Readings(new Rates(Math.max(5_000, 3.5 * parts.intervalMs)));
  }

  /** Reads everything once. Gives the sample and, when it is their time, the top processes. `nowMs`: monotonic. */
  takeSample(nowMs: number): Draft[] {
    this.#readings.begin(nowMs);
    for (const collector of this.#parts.collectors) this.#read(collector, nowMs);
    const { metrics } = this.#readings;
    const drafts: Draft[] = [];
    if (Object.keys(metrics).length > 0) drafts.push(this.#draft('sample', nowMs, `"metrics":${JSON.stringify(metrics)}`));
    const top = this.#isScanDue(nowMs, metrics) ? this.#scan(nowMs) : [];
    // The number of a moment later keeps the order even when both are stamped anew.
    if (top.length > 0) drafts.push(this.#draft('processes', nowMs + 1, `"top":${JSON.stringify(top)}`));
    return drafts;
  }

  #draft(kind: Draft['kind'], takenMs: number, body: string): Draft {
    const { boot, clock } = this.#parts;
    this.#seq += 1;
    return { kind, boot, seq: this.#seq, takenMs, at: clock.isKnown ? clock.stamp(takenMs) : undefined, body };
  }

  /** A group that fails is missing, said once, tried again ever more seldom. */
  #read(collector: Collector, nowMs: number): void {
    const { log } = this.#parts;
    const trouble = this.#troubles.get(collector.name);
    if (trouble && nowMs < trouble.retryMs) return;
    try {
      collector.read(this.#readings);
      if (trouble) {
        this.#troubles.delete(collector.name);
        log.info('collector works again', { collector: collector.name });
      }
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (trouble?.message !== message)
        log.warn('collector failed, its metrics are missing', { collector: collector.name, error: message });
      const waitMs = trouble ? Math.min(retryLastMs, trouble.waitMs * 2) : retryFirstMs;
      this.#troubles.set(collector.name, { message, waitMs, retryMs: nowMs + waitMs });
    }
  }

  #isScanDue(nowMs: number, metrics: Readonly<Record<string, number>>): boolean {
    const sinceMs = nowMs - this.#scannedMs;
    if (!this.#parts.scanProcesses || sinceMs < this.#scanPauseMs) return false;
    // Half a tick early is still this tick.
    const slackMs = this.#parts.intervalMs / 2;
    return sinceMs >= processesEveryMs - slackMs || (sinceMs >= processesAtMostEveryMs - slackMs && isUnderStress(metrics));
  }

  #scan(nowMs: number): Process[] {
    this.#scannedMs = nowMs;
    const before = process.cpuUsage();
    let top: Process[] = [];
    const scanning: Collector = {
      name: 'top processes',
      read: () => {
        top = this.#parts.scanProcesses?.(nowMs) ?? [];
      },
      close: () => {},
    };
    this.#read(scanning, nowMs);
    // Not by the clock: on a busy machine a scan waits, and that is when people ask for it.
    const { user, system } = process.cpuUsage(before);
    this.#scanPauseMs = (user + system) / 1_000 / scanShare;
    return top;
  }
}

/** When people will ask which process it was. */
export const isUnderStress = (metrics: Readonly<Record<string, number>>): boolean =>
  (metrics['cpu.busy'] ?? 0) > 0.9 ||
  (metrics['memory.used'] ?? 0) / (metrics['memory.total'] ?? Infinity) > 0.9 ||
  (metrics['pressure.io.some'] ?? 0) > 0.2;
