/** Finds out whether a PostgreSQL server runs on a cluster, by its postmaster.pid. */

import { spawnSync } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, realpathSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** What postmaster.pid tells; written by PostgreSQL, one field per line. */
export interface Postmaster {
  pid: number;
  port: number;
  /** Folder of the unix socket; '' where there is none. */
  socketFolder: string;
  /** `starting`, `ready`, `stopping` or `standby`; '' very early. */
  status: string;
}

// Above every system's largest pid, so that it never names a process.
const noPid = 2_147_483_647;

/** The server that runs on the cluster, or undefined: no file, a dead or zombie process, or a pid that another program has now. */
export function findPostmaster(cluster: string): Postmaster | undefined {
  const found = readPidFile(cluster);
  return found && isPostmaster(found.pid, cluster) ? found : undefined;
}

/**
 * Lets a new server start over the file of a dead one. PostgreSQL itself would believe a zombie or a stranger with that pid. The rest of
 * the file stays: by its shared memory key PostgreSQL sees whether orphaned processes still use the cluster.
 */
export function disownPidFile(cluster: string): void {
  const file = pidFile(cluster);
  const text = read(file);
  if (text === undefined) return;
  // As root this writes into a folder of another user: never through a link.
  const open = openSync(file, constants.O_WRONLY | constants.O_TRUNC | (constants.O_NOFOLLOW ?? 0));
  try {
    writeSync(open, text.replace(/^-?\d+/, String(noPid)));
  } finally {
    closeSync(open);
  }
}

/** Whether the process is alive, no zombie, and a PostgreSQL server on this cluster. */
export function isPostmaster(pid: number, cluster: string): boolean {
  if (!isAlive(pid)) return false;
  if (process.platform === 'linux') return isPostmasterByProc(pid, cluster);
  if (process.platform === 'win32') return true;
  const shown = spawnSync('/bin/ps', ['-o', 'stat=', '-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).stdout ?? '';
  return !shown.trimStart().startsWith('Z') && shown.includes(cluster);
}

function isPostmasterByProc(pid: number, cluster: string): boolean {
  const stat = read(`/proc/${pid}/stat`);
  const commandLine = read(`/proc/${pid}/cmdline`);
  if (stat === undefined || commandLine === undefined) return false;
  // The state follows the name in parentheses, which may itself contain some.
  if (/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))) return false;
  return commandLine.split('\0').some((argument) => argument === cluster || sameFolder(argument, cluster));
}

function sameFolder(argument: string, cluster: string): boolean {
  if (!argument.startsWith('/')) return false;
  try {
    return realpathSync(argument) === realpathSync(cluster);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, as another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function readPidFile(cluster: string): Postmaster | undefined {
  // pid, data folder, start, port, socket folder, listen address, shared memory, status
  const lines =
    read(pidFile(cluster))
      ?.split('\n')
      .map((line) => line.trim()) ?? [];
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0 || pid === noPid) return undefined;
  return { pid, port: Number(lines[3] ?? 0), socketFolder: lines[4] ?? '', status: lines[7] ?? '' };
}

function pidFile(cluster: string): string {
  return join(cluster, 'postmaster.pid');
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}
