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

export function linuxCollectors(): PlatformCollectors {
  const constants = machineConstants();
  const processes = new ProcessesCollector(constants);
  return {
    collectors: [
      new CpuCollector(),
      new SystemCollector(),
      new PressureCollector('cpu'),
      new PressureCollector('memory'),
      new PressureCollector('io'),
      new MemoryCollector(constants.pageBytes),
      new NetworkCollector(),
      new DiskCollector(),
      new TcpCollector(),
      new SocketsCollector(),
      processes,
      filesystemCollector(),
      temperatureCollector(),
    ],
    scanProcesses: (nowMs) => processes.scan(nowMs),
  };
}
