/** What the fault tests do to the replicas of `npm run cluster`. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import type { ClusterRecord } from '../../../src/local/clusterRecord.ts';
import { until } from '../until.ts';

/** What runs in the rig's folder now. */
export const readCluster = (folder: string): ClusterRecord =>
  JSON.parse(readFileSync(join(folder, 'data/cluster/cluster.json'), 'utf8')) as ClusterRecord;

/** SIGKILL to a replica that runs, by a number in [0, 1); the runner starts it again. Gives its name. */
export function killReplica(folder: string, random: number): string {
  const running = readCluster(folder).replicas.filter(({ pid }) => pid !== undefined);
  const { name, pid } = running[Math.floor(random * running.length)]!;
  process.kill(pid!, 'SIGKILL');
  return name;
}

/** Resolves once so many replicas take connections. */
export async function untilReplicasReady(folder: string, count: number): Promise<void> {
  await until(
    async () => {
      const all = await Promise.all(readCluster(folder).replicas.map(({ opsUrl }) => isReady(opsUrl)));
      return all.filter(Boolean).length === count;
    },
    `${count} replicas are ready`,
    60_000,
  );
}

async function isReady(opsUrl: string): Promise<boolean> {
  try {
    return (await fetch(`${opsUrl}/readyz`)).ok;
  } catch {
    // It does not listen.
    return false;
  }
}
