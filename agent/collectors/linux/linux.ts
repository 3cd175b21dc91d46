/** All collectors of a Linux host. */

import type { PlatformCollectors } from '../platform.ts';
import { machineConstants } from './auxv.ts';
import { CpuCollector } from './cpu.ts';
import { DiskCollector } from './disk.ts';
import { filesystemCollector } from './filesystem.ts';
import { MemoryCollector } from './memory.ts';
import { NetworkCollector } from './network.ts';
import { PressureCollector } from './pressure.ts';
import { ProcessesCollector } from './processes.ts';
import { SystemCollector } from './system.ts';
import { SocketsCollector, TcpCollector } from './tcp.ts';
import { temperatureCollector } from './temperature.ts';

/** `hostRoot`: where the machine's file system is mounted, without a trailing slash; empty for the agent's own. */
export function linuxCollectors(hostRoot = ''): PlatformCollectors {
  const [proc, sys] = [`${hostRoot}/proc`, `${hostRoot}/sys`];
  const constants = machineConstants();
  const processes = new ProcessesCollector(constants, proc, `${hostRoot}/etc/passwd`);
  return {
    collectors: [
      new CpuCollector(proc),
      new SystemCollector(proc),
      new PressureCollector('cpu', proc),
      new PressureCollector('memory', proc),
      new PressureCollector('io', proc),
      new MemoryCollector(constants.pageBytes, proc),
      new NetworkCollector(proc, `${sys}/class/net`),
      new DiskCollector(proc, `${sys}/block`),
      new TcpCollector(proc),
      new SocketsCollector(proc),
      processes,
      filesystemCollector({ root: hostRoot }),
      temperatureCollector(sys),
    ],
    scanProcesses: (nowMs) => processes.scan(nowMs),
  };
}
