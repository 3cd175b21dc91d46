/** What the strips of a room show: titles, series, scales. */

import { lookUp } from '../../../src/protocol/metrics.ts';
import { binary, celsius, count, decimal, nn, none, percent, rate } from '../lib/format.ts';

/** A place in the palette; the same metric has the same colour everywhere. */
export type Colour = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

export interface Series {
  label: string;
  colour: Colour;
  /** `stack`: filled on top of the ones before; `area`: filled; `line`; `dotted`: of the right-hand scale. */
  look: 'stack' | 'area' | 'line' | 'dotted';
  /** Metrics whose values are put together. */
  metrics: string[];
  combine: 'sum' | 'max';
  format: (value: number) => string;
  /** Drawn downwards from zero. */
  mirrored?: true;
}

export type Ceiling =
  | { kind: 'fixed'; low: number; high: number; ticks: number[] }
  /** Grows in steps, never below `least`. */
  | { kind: 'steps'; least: number; binary?: true };

export interface Strip {
  id: 'cpu' | 'memory' | 'load' | 'network' | 'disk' | 'temperature' | 'tcp';
  title: string;
  /** Pixels, with the line below. */
  height: number;
  series: Series[];
  left: Ceiling;
  axis: (value: number) => string;
  /** Scale of the dotted series. */
  right?: { ceiling: Ceiling; label: (high: number) => string };
  /** The figure at the title's right: a series' value, their stack, or words such as a device's name. */
  headline:
    | { series: number }
    | { stack: true; format: (value: number) => string }
    | { text: string }
    | { ratioOf: string; series: number };
  /** On a phone, where the gutter is gone, both values in place of a headline of words: told apart by arrows, or by the legend. */
  phone?: 'arrows' | 'both';
  /** A metric of the same size as the whole stack; what it went between in a bucket is drawn around the stack. */
  peak?: Series;
  /** One row of heat per core below the plot. */
  cores?: string[];
  /** Shown instead of the chart. */
  reason?: string;
}

const axisRate = (value: number): string => (value === 0 ? '0' : rate(Math.abs(value)).replace('.0', ''));
const axisBinary = (value: number): string =>
  value === 0
    ? '0'
    : binary(value)
        .replace(/^(\d\d+)\.(\d)/u, (figure) => String(Math.round(Number(figure))))
        .replace('.0', '');
const axisPercent = (value: number): string => `${Math.round(value * 100)}%`;
const percentScale: Ceiling = { kind: 'fixed', low: 0, high: 1, ticks: [0, 0.5, 1] };
const axisCount = (value: number): string =>
  value === 0 ? '0' : value < 100 ? decimal(value).replace('.0', '') : count(value).replace('.0', '');
const perSecond = (value: number): string => decimal(value);

/** Device parts of all names that fit a pattern such as `net.*.receive`, in their order. */
function devices(names: readonly string[], pattern: string): { device: string; name: string }[] {
  return names.flatMap((name) => {
    const known = lookUp(name);
    return known?.metric.name === pattern && known.device !== undefined ? [{ device: known.device, name }] : [];
  });
}

const listed = (all: readonly string[]): string => (all.length <= 1 ? (all[0] ?? none) : `${all[0]} +${all.length - 1}`);

function series(
  label: string,
  colour: Colour,
  look: Series['look'],
  metrics: string[],
  format: Series['format'],
  more: Partial<Series> = {},
): Series {
  return { label, colour, look, metrics, format, combine: 'sum', ...more };
}

/** Interfaces that carry no traffic of their own to the outside. */
const isInner = (device: string): boolean => /^(lo|veth|docker|br-|virbr|cni|flannel|cali)/u.test(device);

function temperatures(names: readonly string[]): Series[] {
  const order = (device: string): number => (/package|tctl|cpu|core/iu.test(device) ? 0 : /nvme|composite/iu.test(device) ? 1 : 2);
  const colours: Colour[] = [1, 2, 3, 4];
  return devices(names, 'temperature.*')
    .sort((a, b) => order(a.device) - order(b.device))
    .slice(0, colours.length)
    .map(({ device, name }, index) => series(device, colours[index]!, 'line', [name], celsius));
}

export interface StripFacts {
  /** All metric names the host has sent. */
  names: readonly string[];
  /** Newest values, for the size of memory and the like. */
  latest: Readonly<Record<string, number>>;
}

/** The strips of a host in their order; what the host does not have is left out or says why. */
export function stripsOf({ names, latest }: StripFacts): Strip[] {
  const has = (name: string): boolean => names.includes(name);
  const only = (wanted: string[]): string[] => wanted.filter(has);
  const cores = devices(names, 'cpu.core*.busy')
    .sort((a, b) => Number(a.device) - Number(b.device))
    .map((core) => core.name);
  const nics = devices(names, 'net.*.receive').map(({ device }) => device);
  const outer = nics.some((nic) => !isInner(nic)) ? nics.filter((nic) => !isInner(nic)) : nics;
  const disks = devices(names, 'disk.*.read').map(({ device }) => device);
  const ofDevices = (pattern: string, wanted: string[]): string[] =>
    devices(names, pattern)
      .filter(({ device }) => wanted.includes(device))
      .map(({ name }) => name);
  const total = latest['memory.total'] ?? 1;
  const sensors = temperatures(names);
  const swap = (latest['swap.total'] ?? 0) > 0 ? [series('swap', 2, 'line', ['swap.used'], binary)] : [];
  const steal = (latest['cpu.steal'] ?? 0) > 0 || has('cpu.steal');

  return [
    {
      id: 'cpu',
      title: 'CPU',
      height: 126,
      series: [
        series('user', 1, 'stack', only(['cpu.user', 'cpu.nice']), percent),
        series('system', 2, 'stack', only(['cpu.system', 'cpu.irq']), percent),
        series('I/O wait', 3, 'stack', only(['cpu.iowait']), percent),
        ...(steal ? [series('steal', 4, 'stack', ['cpu.steal'], percent)] : []),
      ],
      left: percentScale,
      axis: axisPercent,
      headline: { stack: true, format: percent },
      ...(has('cpu.busy') ? { peak: series('busy', 1, 'line', ['cpu.busy'], percent) } : {}),
      cores,
    },
    {
      id: 'memory',
      title: 'Memory',
      height: 76,
      series: [
        series('used', 1, 'stack', ['memory.used'], binary),
        ...(has('memory.cached') ? [series('cache', 8, 'stack', ['memory.cached'], binary)] : []),
        ...swap,
      ],
      left: { kind: 'fixed', low: 0, high: total, ticks: [0, total / 2, total] },
      axis: axisBinary,
      headline: { ratioOf: 'memory.total', series: 0 },
    },
    {
      id: 'load',
      title: 'Load',
      height: 76,
      series: [
        series(cores.length > 0 ? `1 min, ${cores.length} cores` : '1 min', 1, 'area', ['load.1'], decimal),
        ...(has('pressure.cpu.some') ? [series('PSI CPU', 2, 'dotted', ['pressure.cpu.some'], percent)] : []),
        ...(has('pressure.memory.some') ? [series('PSI memory', 3, 'dotted', ['pressure.memory.some'], percent)] : []),
      ],
      left: { kind: 'steps', least: Math.max(1, cores.length) },
      axis: axisCount,
      ...(has('pressure.cpu.some') ? { right: { ceiling: percentScale, label: () => `100${nn}%` } } : {}),
      headline: { series: 0 },
    },
    {
      id: 'network',
      title: 'Network',
      height: 82,
      series: [
        series('receive ↓', 1, 'area', ofDevices('net.*.receive', outer), rate),
        series('transmit ↑', 2, 'area', ofDevices('net.*.transmit', outer), rate, { mirrored: true }),
      ],
      left: { kind: 'steps', least: 10_000 },
      axis: axisRate,
      headline: { text: listed(outer) },
      phone: 'arrows',
    },
    {
      id: 'disk',
      title: 'Disk',
      height: 76,
      series: [
        series('read', 1, 'line', ofDevices('disk.*.read', disks), rate),
        series('write', 2, 'line', ofDevices('disk.*.write', disks), rate),
        ...(devices(names, 'disk.*.busy').length > 0
          ? [series('utilised', 3, 'dotted', ofDevices('disk.*.busy', disks), percent, { combine: 'max' })]
          : []),
      ],
      left: { kind: 'steps', least: 100_000 },
      axis: axisRate,
      right: { ceiling: percentScale, label: () => `100${nn}%` },
      headline: { text: listed(disks) },
      phone: 'both',
      ...(disks.length === 0 ? { reason: 'no disks seen on this host' } : {}),
    },
    {
      id: 'temperature',
      title: 'Temperature',
      height: 62,
      series: sensors,
      left: { kind: 'fixed', low: 20, high: 100, ticks: [40, 80] },
      axis: (value) => `${value}°`,
      headline: { series: 0 },
      ...(sensors.length === 0 ? { reason: 'no sensors on this host' } : {}),
    },
    {
      id: 'tcp',
      title: 'TCP',
      height: 62,
      series: [
        series('established', 1, 'line', ['tcp.established'], count),
        ...(has('tcp.retransmitted') ? [series('retransmits/s', 3, 'dotted', ['tcp.retransmitted'], perSecond)] : []),
      ],
      left: { kind: 'steps', least: 10 },
      axis: axisCount,
      right: { ceiling: { kind: 'steps', least: 10 }, label: (high) => `${axisCount(high)}/s` },
      headline: { series: 0 },
      ...(has('tcp.established') ? {} : { reason: 'the agent reads no TCP figures here' }),
    },
  ];
}

/** Changes whenever the strips have to be built anew. */
export const signatureOf = (strips: readonly Strip[]): string =>
  JSON.stringify(
    strips.map((strip) => [strip.id, strip.left, strip.cores, strip.reason, strip.series.map((one) => [one.label, one.metrics])]),
  );
