/** What runs in a cluster's folder, written down for scripts, and for the start after a kill. */

import { readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as wait } from 'node:timers/promises';

/** The text of `cluster.json`. Of a program that does not run now the pid is missing. */
export interface ClusterRecord {
  /** Where people and agents go. */
  url: string;
  pid: number;
  nginx?: number;
  redis?: number;
  replicas: { name: string; pid?: number; url: string; opsUrl: string }[];
}

const fileOf = (folder: string): string => join(folder, 'cluster.json');

export function writeRecord(folder: string, record: ClusterRecord): void {
  const file = fileOf(folder);
  writeFileSync(`${file}.new`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

export const removeRecord = (folder: string): void => rmSync(fileOf(folder), { force: true });

const longestEndMs = 5_000;

/**
 * Ends the nginx and the Redis of a cluster that was killed; its hubs and its agent ended by themselves. Only those that still work in
 * the folder, as far as the system tells: a pid may be somebody else's by now.
 */
export async function endLeftovers(folder: string): Promise<void> {
  const { nginx, redis } = readRecord(folder) ?? {};
  const left = [nginx, redis].filter((pid) => typeof pid === 'number' && worksIn(folder, pid)) as number[];
  for (const pid of left) process.kill(pid, 'SIGTERM');
  const deadline = performance.now() + longestEndMs;
  // oxlint-disable-next-line no-await-in-loop -- nobody tells when another's child has ended
  while (left.some((pid) => worksIn(folder, pid)) && performance.now() < deadline) await wait(20);
  removeRecord(folder);
}

function readRecord(folder: string): Partial<ClusterRecord> | undefined {
  try {
    return JSON.parse(readFileSync(fileOf(folder), 'utf8')) as Partial<ClusterRecord>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** False where there is no /proc. */
function worksIn(folder: string, pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/cwd`).startsWith(join(folder, '/'));
  } catch (error) {
    if (['ENOENT', 'EACCES', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}
