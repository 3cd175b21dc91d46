/** What the hosts of this replica measure, under the names of Prometheus' node_exporter. */

import { Page, seriesText, type Family } from './exposition.ts';
import { isFresh, processorModes, type HostSeries } from './hostSeries.ts';
import { turns } from './turns.ts';

interface Named extends Family {
  /** The label that the device stands in. */
  device?: 'device' | 'mountpoint' | 'chip';
}

const gauge = (name: string, help: string, device?: Named['device']): Named => ({ name: `node_${name}`, help, type: 'gauge', device });
/** The agent tells rates; here they are added up again. */
const counter = (name: string, help: string, device?: Named['device']): Named => ({ name: `node_${name}`, help, type: 'counter', device });

/** By name in the catalogue. What is not here has no name there that means exactly the same. */
const names: ReadonlyMap<string, Named> = new Map([
  ['memory.total', gauge('memory_MemTotal_bytes', 'Memory information field MemTotal_bytes.')],
  ['memory.available', gauge('memory_MemAvailable_bytes', 'Memory information field MemAvailable_bytes.')],
  ['swap.total', gauge('memory_SwapTotal_bytes', 'Memory information field SwapTotal_bytes.')],
  ['load.1', gauge('load1', '1m load average.')],
  ['load.5', gauge('load5', '5m load average.')],
  ['load.15', gauge('load15', '15m load average.')],
  ['descriptors.open', gauge('filefd_allocated', 'File descriptor statistics: allocated.')],
  ['processes.running', gauge('procs_running', 'Number of processes in runnable state.')],
  ['processes.blocked', gauge('procs_blocked', 'Number of processes blocked waiting for I/O to complete.')],
  ['tcp.established', gauge('netstat_Tcp_CurrEstab', 'Statistic TcpCurrEstab.')],
  ['sockets.used', gauge('sockstat_sockets_used', 'Number of sockets in use.')],
  ['sockets.tcp', gauge('sockstat_TCP_inuse', 'Number of TCP sockets in state inuse.')],
  ['sockets.udp', gauge('sockstat_UDP_inuse', 'Number of UDP sockets in state inuse.')],
  ['sockets.time_wait', gauge('sockstat_TCP_tw', 'Number of TCP sockets in state tw.')],
  ['fs.*.total', gauge('filesystem_size_bytes', 'Filesystem size in bytes.', 'mountpoint')],
  ['fs.*.available', gauge('filesystem_avail_bytes', 'Filesystem space available to non-root users in bytes.', 'mountpoint')],
  ['temperature.*', gauge('hwmon_temp_celsius', 'Hardware monitor for temperature (input).', 'chip')],
  ['fan.*', gauge('hwmon_fan_rpm', 'Hardware monitor for fan revolutions per minute (input).', 'chip')],
  ['net.*.receive', counter('network_receive_bytes_total', 'Network device statistic receive_bytes.', 'device')],
  ['net.*.transmit', counter('network_transmit_bytes_total', 'Network device statistic transmit_bytes.', 'device')],
  ['net.*.receive_packets', counter('network_receive_packets_total', 'Network device statistic receive_packets.', 'device')],
  ['net.*.transmit_packets', counter('network_transmit_packets_total', 'Network device statistic transmit_packets.', 'device')],
  ['net.*.receive_errors', counter('network_receive_errs_total', 'Network device statistic receive_errs.', 'device')],
  ['net.*.transmit_errors', counter('network_transmit_errs_total', 'Network device statistic transmit_errs.', 'device')],
  ['disk.*.read', counter('disk_read_bytes_total', 'The total number of bytes read successfully.', 'device')],
  ['disk.*.write', counter('disk_written_bytes_total', 'The total number of bytes written successfully.', 'device')],
  ['disk.*.reads', counter('disk_reads_completed_total', 'The total number of reads completed successfully.', 'device')],
  ['disk.*.writes', counter('disk_writes_completed_total', 'The total number of writes completed successfully.', 'device')],
  ['disk.*.busy', counter('disk_io_time_seconds_total', 'Total seconds spent doing I/Os.', 'device')],
  ['kernel.context_switches', counter('context_switches_total', 'Total number of context switches.')],
  ['kernel.forks', counter('forks_total', 'Total number of forks.')],
  ['tcp.retransmitted', counter('netstat_Tcp_RetransSegs', 'Statistic TcpRetransSegs.')],
  ['tcp.listen_drops', counter('netstat_TcpExt_ListenDrops', 'Statistic TcpExtListenDrops.')],
  ['memory.faults', counter('vmstat_pgfault', '/proc/vmstat information field pgfault.')],
  ['memory.major_faults', counter('vmstat_pgmajfault', '/proc/vmstat information field pgmajfault.')],
  ['memory.oom_kills', counter('vmstat_oom_kill', '/proc/vmstat information field oom_kill.')],
  ['pressure.cpu.some', counter('pressure_cpu_waiting_seconds_total', 'Total time in seconds that processes have waited for CPU time.')],
  [
    'pressure.memory.some',
    counter('pressure_memory_waiting_seconds_total', 'Total time in seconds that processes have waited for memory.'),
  ],
  [
    'pressure.memory.full',
    counter('pressure_memory_stalled_seconds_total', 'Total time in seconds no process could make progress due to memory.'),
  ],
  [
    'pressure.io.some',
    counter('pressure_io_waiting_seconds_total', 'Total time in seconds that processes have waited due to IO congestion.'),
  ],
  [
    'pressure.io.full',
    counter('pressure_io_stalled_seconds_total', 'Total time in seconds no process could make progress due to IO congestion.'),
  ],
]);

const freeSpace = gauge('filesystem_free_bytes', 'Filesystem free space in bytes.', 'mountpoint');
const freeSwap = gauge('memory_SwapFree_bytes', 'Memory information field SwapFree_bytes.');
const time = gauge('time_seconds', 'System time in seconds since epoch (1970).');
const booted = gauge('boot_time_seconds', 'Node boot time, in unixtime.');
const uname = gauge('uname_info', 'Labeled system information.');
const processors = counter('cpu_seconds_total', 'Seconds the CPUs spent in each mode.');

/**
 * Text in the exposition format, piece by piece, for `honor_labels: true`: `instance` is the host's name, `host` its id, which tells two
 * hosts of one name apart. Counters begin at 0 when the agent connects to this replica; Prometheus takes that for a restart.
 */
export async function* nodeMetrics(
  hosts: readonly { id: string; name: string }[],
  known: ReadonlyMap<string, HostSeries>,
): AsyncGenerator<string> {
  const page = new Page();
  for await (const { id, name } of turns(hosts)) {
    const host = known.get(id);
    if (!host) continue;
    if (host.name !== name) rename(host, name);
    const labels = { instance: name, host: id };
    const put = (named: Named, device: string | undefined, value: number): void =>
      page.add(named, seriesText(named.name, { ...labels, ...deviceLabels(named, device) }), value);
    page.add(uname, seriesText(uname.name, { ...labels, nodename: name }), 1);
    put(time, undefined, host.at / 1_000);
    if (host.bootedS !== undefined) put(booted, undefined, host.bootedS);
    for (const [key, series] of host.series) {
      if (!isFresh(host, series.at)) continue;
      const named = names.get(series.metric.name);
      if (named) {
        series.nodeText ??= seriesText(named.name, { ...labels, ...deviceLabels(named, series.device) });
        page.add(named, series.nodeText, named.type === 'counter' ? rounded(series.total) : series.value);
      }
      if (key.endsWith('.used')) putFree(host, key, put);
    }
    for (const [cpu, processor] of host.processors) {
      processor.nodeTexts ??= processorModes.map((mode) => seriesText(processors.name, { ...labels, cpu, mode }));
      for (const [index, text] of processor.nodeTexts.entries()) page.add(processors, text, rounded(processor.seconds[index]!));
    }
  }
  yield* turns(page.blocks());
}

/** The name stands in every text. */
function rename(host: HostSeries, name: string): void {
  host.name = name;
  for (const series of host.series.values()) series.nodeText = undefined;
  for (const processor of host.processors.values()) processor.nodeTexts = undefined;
}

/** What node_exporter tells as free stands in the catalogue as used. */
function putFree(host: HostSeries, key: string, put: (named: Named, device: string | undefined, value: number) => void): void {
  if (!/^(swap|fs\..+)\.used$/.test(key)) return;
  const used = host.series.get(key);
  const total = host.series.get(key.replace(/used$/, 'total'));
  if (used && total?.at === used.at) put(key.startsWith('fs.') ? freeSpace : freeSwap, used.device, total.value - used.value);
}

/** Dashboards ask for file systems and sensors with these labels; the agent does not tell what stands in them. */
function deviceLabels({ device: label }: Named, device: string | undefined): Record<string, string | undefined> {
  if (label === undefined) return {};
  if (label === 'mountpoint') return { device: 'unknown', fstype: 'unknown', mountpoint: device };
  if (label === 'chip') return { chip: device, sensor: 'input' };
  return { device };
}

/** Sums of products carry digits that mean nothing. */
const rounded = (value: number): number => Math.round(value * 1e6) / 1e6;
