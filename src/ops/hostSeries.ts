/** Remembers what the hosts of this replica said last, as series for Prometheus. */

import { lookUp, type Known } from '../protocol/metrics.ts';

/** The two fields of a sample that matter here. */
export interface Reading {
  /** Hub time in ms. */
  at: number;
  metrics: Readonly<Record<string, number>>;
}

/** One metric of one device. */
export interface Series extends Known {
  value: number;
  /** When it was told last. */
  at: number;
  /** The value times the seconds it stood for, since this replica has the host: of a rate, what a counter would have counted. */
  total: number;
  /** Its name and labels as they stand on the two pages; made once. */
  ownText?: string;
  nodeText?: string;
}

/** The seconds of one core, by mode. */
export interface Processor {
  seconds: Float64Array;
  /** As `Series.nodeText`, by mode. */
  nodeTexts?: string[];
}

export interface HostSeries {
  /** Of the newest sample; 0 before the first. */
  at: number;
  /** Between the newest two samples, at most what an agent may be set to. */
  intervalMs: number;
  /** By name of the metric as the agent sent it. */
  series: Map<string, Series>;
  /** Seconds by core and mode, see `processorModes`. */
  processors: Map<string, Processor>;
  /** Metric and device of each series: a device may be named in two ways, and stands on a page once. */
  devices: Set<string>;
  /** The name of the host that is in the texts. */
  name: string | undefined;
  /** Seconds since 1970 when the machine was started; moves only when the machine was started again. */
  bootedS: number | undefined;
}

/** The modes that a core's seconds are divided into, in the order of the arrays. */
export const processorModes = ['user', 'nice', 'system', 'irq', 'iowait', 'steal', 'idle'] as const;

/** Some metrics come every 10 s, or with every sample where those are further apart. */
const freshMs = 25_000;
/** Over a longer pause, or one of three and a half intervals, the agent gives no rates, and none are made up here. */
const longestStepMs = 5_500;
const longestIntervalMs = 60_000;
/** As many as one sample may carry. Names that come and go (a hostile agent's) are not admitted beyond it. */
const maxSeries = 2_000;
/** A name that was not told for so long makes room for another. */
const forgetMs = 3_600_000;
/** Without a scrape for so long nothing is counted on. */
const idleMs = 300_000;
const bootJitterS = 5;
const maxKnown = 20_000;

export class HostSeriesKeeper {
  readonly #hosts = new Map<string, HostSeries>();
  readonly #known = new Map<string, Known | undefined>();
  readonly #dropped: (count: number) => void;
  readonly #nowMs: () => number;
  #askedMs = -Infinity;

  /** `dropped`: told of values for which there was no room. `nowMs`: monotonic. */
  constructor(dropped: (count: number) => void, nowMs: () => number = () => performance.now()) {
    this.#dropped = dropped;
    this.#nowMs = nowMs;
  }

  /** Takes in a live sample. Costs nothing while nobody scrapes. */
  observe(id: string, sample: Reading): void {
    if (this.#nowMs() - this.#askedMs <= idleMs) this.#take(id, sample);
  }

  /** What is known of the hosts; those that are not asked for any more are forgotten. A host's first answer is its newest sample. */
  ask(hosts: Iterable<{ id: string; sample: Reading | undefined }>): Map<string, HostSeries> {
    // Counting would go on from before the pause.
    if (this.#nowMs() - this.#askedMs > idleMs) this.#hosts.clear();
    this.#askedMs = this.#nowMs();
    const asked = new Map<string, HostSeries>();
    for (const { id, sample } of hosts) {
      if (sample && !this.#hosts.has(id)) this.#take(id, sample);
      const host = this.#hosts.get(id);
      if (host) asked.set(id, host);
    }
    for (const id of this.#hosts.keys()) if (!asked.has(id)) this.#hosts.delete(id);
    return asked;
  }

  #take(id: string, { at, metrics }: Reading): void {
    let host = this.#hosts.get(id);
    if (!host)
      this.#hosts.set(
        id,
        (host = {
          at: 0,
          intervalMs: 0,
          series: new Map(),
          processors: new Map(),
          devices: new Set(),
          name: undefined,
          bootedS: undefined,
        }),
      );
    if (at <= host.at) return;
    const pauseMs = host.at > 0 ? at - host.at : Infinity;
    const stepS = pauseMs <= Math.max(longestStepMs, 3.5 * host.intervalMs) ? pauseMs / 1_000 : 0;
    if (pauseMs < Infinity) host.intervalMs = Math.min(pauseMs, longestIntervalMs);
    host.at = at;
    let refused = 0;
    for (const name in metrics) {
      const value = metrics[name]!;
      let series = host.series.get(name);
      if (!series) {
        const known = this.#lookUp(name);
        if (!known || host.devices.has(identityOf(known))) continue;
        if (host.series.size >= maxSeries && !makeRoom(host, at)) {
          refused++;
          continue;
        }
        host.devices.add(identityOf(known));
        host.series.set(name, (series = { ...known, value, at, total: 0 }));
      } else if (stepS > 0) series.total += value * stepS;
      series.value = value;
      series.at = at;
    }
    if (refused > 0) this.#dropped(refused);
    if (stepS > 0) countProcessors(host, metrics, stepS);
    const uptimeS = metrics['uptime'];
    if (uptimeS === undefined) return;
    const bootedS = Math.round(at / 1_000 - uptimeS);
    if (host.bootedS === undefined || Math.abs(bootedS - host.bootedS) > bootJitterS) host.bootedS = bootedS;
  }

  #lookUp(name: string): Known | undefined {
    if (this.#known.has(name)) return this.#known.get(name);
    const known = lookUp(name);
    if (this.#known.size < maxKnown) this.#known.set(name, known);
    return known;
  }
}

/** Whether what was told at `at` still stands: devices go. */
export const isFresh = (host: HostSeries, at: number): boolean => at >= host.at - Math.max(freshMs, 2.5 * host.intervalMs);

const identityOf = ({ metric, device }: Known): string => `${metric.name} ${device ?? ''}`;

/** Lets go of what was not told for an hour; false where there is nothing. */
function makeRoom(host: HostSeries, at: number): boolean {
  const before = host.series.size;
  for (const [name, series] of host.series) {
    if (series.at >= at - forgetMs) continue;
    host.series.delete(name);
    host.devices.delete(identityOf(series));
  }
  return host.series.size < before;
}

/**
 * Divides each core's seconds among the modes. Agents tell the modes of the whole machine and how busy each core was: a core's busy time
 * is split like the machine's, so sums over cores and each core's idle time are right, and the split within one core is an estimate.
 */
function countProcessors(host: HostSeries, metrics: Readonly<Record<string, number>>, stepS: number): void {
  const busy = metrics['cpu.busy'];
  if (busy === undefined) return;
  const iowait = metrics['cpu.iowait'] ?? 0;
  const waiting = 1 - busy > 0 ? Math.min(1, iowait / (1 - busy)) : 0;
  for (const series of host.series.values()) {
    if (series.metric.name !== 'cpu.core*.busy' || series.at !== host.at || series.device === undefined) continue;
    let processor = host.processors.get(series.device);
    if (!processor) host.processors.set(series.device, (processor = { seconds: new Float64Array(processorModes.length) }));
    const { seconds } = processor;
    const share = busy > 0 ? series.value / busy : 0;
    const idle = Math.max(0, 1 - series.value);
    for (const [index, mode] of processorModes.entries()) {
      if (mode === 'idle') seconds[index]! += idle * (1 - waiting) * stepS;
      else if (mode === 'iowait') seconds[index]! += idle * waiting * stepS;
      else seconds[index]! += (metrics[`cpu.${mode}`] ?? 0) * share * stepS;
    }
  }
}
