/** The catalogue of metrics: names, units, titles and scale, shared by agent, hub and web. */

export type Unit = 'bytes' | 'bytes/s' | 's' | 'ratio' | 'count' | '1/s' | '1/min' | '°C';

export type MetricGroup =
  | 'cpu'
  | 'load'
  | 'pressure'
  | 'memory'
  | 'network'
  | 'disk'
  | 'filesystem'
  | 'temperature'
  | 'tcp'
  | 'kernel'
  | 'processes'
  | 'agent';

export interface Metric {
  /** The name; `*` stands for the device part, as in `net.*.receive`. */
  name: string;
  group: MetricGroup;
  unit: Unit;
  /** Two or three words for a legend; the device is shown beside it. */
  title: string;
  /** Digits after the point that carry meaning; value × 10^decimals is an integer on the wire and in storage. */
  decimals: number;
  /** How often the agent reads it. */
  everyS: 1 | 10;
  /** Every metric is a gauge: counters became rates in the agent. */
  kind: 'gauge';
}

type Row = [name: string, unit: Unit, title: string, decimals?: number];

/** Digits by unit, where a row does not say otherwise. */
const usualDecimals: Record<Unit, number> = { bytes: 0, 'bytes/s': 0, s: 0, ratio: 3, count: 0, '1/s': 1, '1/min': 0, '°C': 1 };

const group = (name: MetricGroup, everyS: 1 | 10, rows: Row[]): Metric[] =>
  rows.map(([metric, unit, title, decimals]) => ({
    name: metric,
    group: name,
    unit,
    title,
    decimals: decimals ?? usualDecimals[unit],
    everyS,
    kind: 'gauge',
  }));

/** All known metrics in the order in which a page lists them. Unknown names are kept everywhere, just without unit and title. */
export const catalogue: readonly Metric[] = [
  ...group('cpu', 1, [
    ['cpu.busy', 'ratio', 'CPU busy'],
    ['cpu.user', 'ratio', 'User'],
    ['cpu.nice', 'ratio', 'Low priority'],
    ['cpu.system', 'ratio', 'System'],
    ['cpu.irq', 'ratio', 'Interrupts'],
    ['cpu.iowait', 'ratio', 'Waiting for I/O'],
    ['cpu.steal', 'ratio', 'Stolen'],
    ['cpu.core*.busy', 'ratio', 'Core busy'],
  ]),
  ...group('load', 1, [
    ['load.1', 'count', 'Load 1 min', 2],
    ['load.5', 'count', 'Load 5 min', 2],
    ['load.15', 'count', 'Load 15 min', 2],
  ]),
  ...group('pressure', 1, [
    ['pressure.cpu.some', 'ratio', 'CPU pressure, some', 4],
    ['pressure.cpu.full', 'ratio', 'CPU pressure, full', 4],
    ['pressure.memory.some', 'ratio', 'Memory pressure, some', 4],
    ['pressure.memory.full', 'ratio', 'Memory pressure, full', 4],
    ['pressure.io.some', 'ratio', 'I/O pressure, some', 4],
    ['pressure.io.full', 'ratio', 'I/O pressure, full', 4],
  ]),
  ...group('memory', 1, [
    ['memory.total', 'bytes', 'Memory'],
    ['memory.used', 'bytes', 'Memory used'],
    ['memory.available', 'bytes', 'Memory available'],
    ['memory.cached', 'bytes', 'Cache and buffers'],
    ['memory.faults', '1/s', 'Page faults', 0],
    ['memory.major_faults', '1/s', 'Major page faults'],
    ['memory.oom_kills', '1/s', 'Out-of-memory kills'],
    ['swap.total', 'bytes', 'Swap'],
    ['swap.used', 'bytes', 'Swap used'],
    ['swap.in', 'bytes/s', 'Swapped in'],
    ['swap.out', 'bytes/s', 'Swapped out'],
  ]),
  ...group('network', 1, [
    ['net.*.receive', 'bytes/s', 'Received'],
    ['net.*.transmit', 'bytes/s', 'Sent'],
    ['net.*.receive_packets', '1/s', 'Packets received', 0],
    ['net.*.transmit_packets', '1/s', 'Packets sent', 0],
    ['net.*.receive_errors', '1/s', 'Receive errors'],
    ['net.*.transmit_errors', '1/s', 'Send errors'],
    ['net.*.drops', '1/s', 'Packets dropped'],
  ]),
  ...group('disk', 1, [
    ['disk.*.read', 'bytes/s', 'Read'],
    ['disk.*.write', 'bytes/s', 'Written'],
    ['disk.*.reads', '1/s', 'Reads'],
    ['disk.*.writes', '1/s', 'Writes'],
    ['disk.*.busy', 'ratio', 'Disk busy'],
    ['disk.*.await', 's', 'Wait per operation', 5],
  ]),
  ...group('tcp', 1, [
    ['tcp.established', 'count', 'TCP connections'],
    ['tcp.retransmitted', '1/s', 'TCP segments sent again'],
    ['tcp.listen_drops', '1/s', 'Connections refused by a full queue'],
    ['sockets.used', 'count', 'Sockets'],
    ['sockets.tcp', 'count', 'TCP sockets'],
    ['sockets.udp', 'count', 'UDP sockets'],
    ['sockets.time_wait', 'count', 'TCP sockets in TIME_WAIT'],
  ]),
  ...group('kernel', 1, [
    ['kernel.context_switches', '1/s', 'Context switches', 0],
    ['kernel.forks', '1/s', 'Processes started'],
    ['descriptors.open', 'count', 'Open files'],
    ['uptime', 's', 'Uptime'],
  ]),
  ...group('processes', 1, [
    ['processes.running', 'count', 'Processes running'],
    ['processes.blocked', 'count', 'Processes blocked'],
    ['processes.total', 'count', 'Processes'],
  ]),
  ...group('filesystem', 10, [
    ['fs.*.total', 'bytes', 'Size'],
    ['fs.*.used', 'bytes', 'Used'],
    ['fs.*.available', 'bytes', 'Free for users'],
    ['fs.*.inodes_used', 'ratio', 'Inodes used', 4],
  ]),
  ...group('temperature', 10, [
    ['temperature.*', '°C', 'Temperature'],
    ['fan.*', '1/min', 'Fan'],
  ]),
  ...group('agent', 1, [
    ['agent.cpu', 'ratio', 'Agent CPU, of one core', 4],
    ['agent.memory', 'bytes', 'Agent memory'],
    ['agent.spool', 'count', 'Samples not yet committed'],
    ['agent.spool_bytes', 'bytes', 'Waiting on disk'],
    ['agent.spool_age', 's', 'Oldest not yet committed', 0],
    ['agent.spool_left', 's', 'Time without hub left', 0],
    ['agent.sent', 'bytes/s', 'Agent traffic'],
    ['agent.dropped', 'count', 'Samples dropped since start'],
  ]),
];

const byName = new Map(catalogue.map((metric) => [metric.name, metric]));

export interface Known {
  metric: Metric;
  /** Decoded device part, such as `eth0`, `/var/lib` or the number of a core; undefined for metrics of the whole host. */
  device: string | undefined;
}

/** The catalogue's entry for a concrete name such as `net.eth0.receive`; undefined for unknown names, which stay allowed. */
export function lookUp(name: string): Known | undefined {
  const fixed = byName.get(name);
  if (fixed) return fixed.name.includes('*') ? undefined : { metric: fixed, device: undefined };
  const [first, second, ...rest] = name.split('.');
  if (first === undefined || !second) return undefined;
  const core = first === 'cpu' ? /^core(\d+)$/.exec(second)?.[1] : undefined;
  const metric = byName.get([first, core === undefined ? '*' : 'core*', ...rest].join('.'));
  return metric && { metric, device: core ?? decodeDevice(second) };
}

/** Makes a concrete name out of a catalogue name and a device, `metricName('fs.*.used', '/') → 'fs./.used'`. */
export const metricName = (name: string, device: string): string => name.replace('*', () => encodeDevice(device));

/** A device as it stands inside a metric name: the separator, `%`, white space and the list signs `*` and `,` percent-encoded. */
export const encodeDevice = (device: string): string =>
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  device.replace(/[.%*,\s\u0000-\u001f\u007f]/g, (sign) =>
    Array.from(new TextEncoder().encode(sign), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  );

/** The reverse of `encodeDevice`; a part that is not validly encoded is given back as it is. */
export function decodeDevice(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const powers = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];

/** The integer that stands for a value in storage: value × 10^decimals, rounded. */
export const toScaled = (metric: Metric, value: number): number => Math.round(value * powers[metric.decimals]!);

/** The value of a stored integer. */
export const fromScaled = (metric: Metric, scaled: number): number => scaled / powers[metric.decimals]!;

/** The value with no more digits than carry meaning, which is what an agent publishes. */
export const rounded = (metric: Metric, value: number): number => fromScaled(metric, toScaled(metric, value));

/** Names that would end in `_total`, which Prometheus keeps for counters. */
const exportedNames = new Map([
  ['memory.total', 'memory_total_bytes'],
  ['swap.total', 'swap_total_bytes'],
  ['fs.*.total', 'fs_total_bytes'],
  ['processes.total', 'processes_all'],
]);

/** The name under which the hub exports a metric to Prometheus; the device stands in a label. */
export const prometheusName = (metric: Metric): string =>
  `hostroom_host_${exportedNames.get(metric.name) ?? metric.name.replace(/\.?\*/, '').replaceAll('.', '_')}`;
