/** All collectors of a macOS or Windows host: what Node itself knows, and the output of long-lived system programs. */

import { cpus, freemem, loadavg, totalmem, uptime } from 'node:os';
import { parse } from 'node:path';
import { statfs } from 'node:fs/promises';
import type { Log } from '../log.ts';
import type { Collector, Readings } from '../readings.ts';
import { BackgroundCollector } from './background.ts';
import { startFeed, type Feed } from './feed.ts';
import type { PlatformCollectors } from './platform.ts';

/** Processor times, load and memory, without any child. */
class NodeCollector implements Collector {
  readonly name = 'system';

  read(readings: Readings): void {
    const all = [0, 0, 0, 0, 0];
    for (const [core, { times }] of cpus().entries()) {
      const counters = [times.user, times.nice, times.sys, times.irq, times.idle];
      counters.forEach((value, index) => (all[index]! += value));
      const shares = readings.rates.shares(`cpu${core}`, counters);
      if (shares) readings.put(`cpu.core${core}.busy`, 1 - shares[4]!);
    }
    const shares = readings.rates.shares('cpu', all);
    if (shares) {
      for (const [index, what] of ['user', 'nice', 'system', 'irq'].entries()) readings.put(`cpu.${what}`, shares[index]);
      readings.put('cpu.busy', 1 - shares[4]!);
    }
    readings.put('memory.total', totalmem());
    readings.put('uptime', Math.floor(uptime()));
  }

  close(): void {}
}

/** Shows the newest figures of a feed until they are too old. */
class FeedCollector implements Collector {
  readonly name: string;
  readonly #feed: Feed;
  #figures: Record<string, number> = {};
  #takenMs = -Infinity;

  /** `parseLine` gives the figures of one line, or undefined for a line without any. */
  constructor(
    name: string,
    command: string,
    args: readonly string[],
    log: Log,
    parseLine: (line: string) => Record<string, number> | undefined,
  ) {
    this.name = name;
    this.#feed = startFeed(command, args, log, (line) => {
      const figures = parseLine(line);
      if (!figures) return;
      this.#figures = figures;
      this.#takenMs = performance.now();
    });
  }

  read(readings: Readings): void {
    if (readings.nowMs - this.#takenMs > 3_000) return;
    for (const [name, value] of Object.entries(this.#figures)) readings.put(name, value);
  }

  close(): void {
    this.#feed.close();
  }
}

/** The volume that the system stands on. */
const volumeCollector = (): Collector =>
  new BackgroundCollector('filesystem', 10_000, async () => {
    const root = parse(process.execPath).root;
    const space = await statfs(root);
    return [
      ['fs.*.total', root, space.blocks * space.bsize],
      ['fs.*.used', root, (space.blocks - space.bfree) * space.bsize],
      ['fs.*.available', root, space.bavail * space.bsize],
    ];
  });

const numbers = (line: string): number[] => line.trim().split(/\s+/).map(Number);

/** `vm_stat 1`: free active specul inactive throttle wired …, in pages; the page size stands in the heading. */
export function vmStatParser(): (line: string) => Record<string, number> | undefined {
  let pageBytes = 4096;
  return (line) => {
    const told = /page size of (\d+) bytes/.exec(line)?.[1];
    if (told !== undefined) pageBytes = Number(told);
    // From 1,000,000 on the program shortens to thousands.
    const [free, , speculative, inactive] = line
      .trim()
      .split(/\s+/)
      .map((text) => (text.endsWith('K') ? Number.parseInt(text, 10) * 1000 : Number(text)));
    if (free === undefined || inactive === undefined || ![free, speculative, inactive].every(Number.isFinite)) return undefined;
    const available = (free + speculative! + inactive) * pageBytes;
    return { 'memory.available': available, 'memory.used': totalmem() - available };
  };
}

/** `netstat -w 1`: packets, errors, bytes in, the same out, collisions; of all interfaces together. */
export function netstatLine(line: string): Record<string, number> | undefined {
  const [packetsIn, errorsIn, bytesIn, packetsOut, errorsOut, bytesOut] = numbers(line);
  if (![packetsIn, errorsIn, bytesIn, packetsOut, errorsOut, bytesOut].every(Number.isFinite)) return undefined;
  return {
    'net.all.receive': bytesIn!,
    'net.all.transmit': bytesOut!,
    'net.all.receive_packets': packetsIn!,
    'net.all.transmit_packets': packetsOut!,
    'net.all.receive_errors': errorsIn!,
    'net.all.transmit_errors': errorsOut!,
  };
}

/** One long-lived shell that asks by language-independent class names and prints one line a second. */
const windowsScript = `
$ErrorActionPreference='Stop'
while($true){
 $n=Get-CimInstance Win32_PerfFormattedData_Tcpip_NetworkInterface | Measure-Object BytesReceivedPersec,BytesSentPersec -Sum
 $d=Get-CimInstance Win32_PerfFormattedData_PerfDisk_PhysicalDisk -Filter "Name='_Total'"
 Write-Output ("{0} {1} {2} {3} {4} {5}" -f $n[0].Sum,$n[1].Sum,$d.DiskReadBytesPersec,$d.DiskWriteBytesPersec,$d.DiskReadsPersec,$d.DiskWritesPersec)
 Start-Sleep -Milliseconds 900
}`;

export function windowsLine(line: string): Record<string, number> | undefined {
  const names = ['net.all.receive', 'net.all.transmit', 'disk.all.read', 'disk.all.write', 'disk.all.reads', 'disk.all.writes'];
  const values = numbers(line);
  if (values.length !== names.length || !values.every(Number.isFinite)) return undefined;
  return Object.fromEntries(names.map((name, index) => [name, values[index]!]));
}

/** Free memory as Node tells it, and the load where the platform has one. */
class SimpleMemoryCollector implements Collector {
  readonly name = 'memory';

  read(readings: Readings): void {
    readings.put('memory.available', freemem());
    readings.put('memory.used', totalmem() - freemem());
  }

  close(): void {}
}

class LoadCollector implements Collector {
  readonly name = 'load';

  read(readings: Readings): void {
    const [one, five, fifteen] = loadavg();
    readings.put('load.1', one);
    readings.put('load.5', five);
    readings.put('load.15', fifteen);
  }

  close(): void {}
}

export function portableCollectors(platform: NodeJS.Platform, log: Log): PlatformCollectors {
  const common = [new NodeCollector(), volumeCollector()];
  if (platform === 'win32') {
    const shell = ['-NoProfile', '-NonInteractive', '-Command', windowsScript];
    return {
      collectors: [...common, new SimpleMemoryCollector(), new FeedCollector('devices', 'powershell.exe', shell, log, windowsLine)],
    };
  }
  if (platform === 'darwin') {
    const memory = new FeedCollector('memory', 'vm_stat', ['1'], log, vmStatParser());
    const network = new FeedCollector('network', 'netstat', ['-w', '1'], log, netstatLine);
    return { collectors: [...common, new LoadCollector(), memory, network] };
  }
  return { collectors: [...common, new LoadCollector(), new SimpleMemoryCollector()] };
}
