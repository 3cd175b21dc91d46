/** Chooses the collectors for the platform the agent runs on. */

import { platform } from 'node:os';
import type { Log } from '../log.ts';
import type { Collector } from '../readings.ts';
import type { ProcessScan } from '../sampler.ts';

export interface PlatformCollectors {
  collectors: Collector[];
  /** Missing where the platform has none. */
  scanProcesses?: ProcessScan;
}

/** Loads only what this platform needs. `hostRoot`: as in the configuration, on Linux alone. */
export async function platformCollectors(log: Log, hostRoot = ''): Promise<PlatformCollectors> {
  if (platform() === 'linux') return (await import('./linux/linux.ts')).linuxCollectors(hostRoot);
  const { portableCollectors } = await import('./portable.ts');
  return portableCollectors(platform(), log);
}
