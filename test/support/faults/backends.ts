/** Which process stands behind a connection to PostgreSQL on this machine. */

import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

/** Of these processes, the one that has the TCP port `port` of 127.0.0.1; undefined where none has. */
export function processAtPort(pids: readonly number[], port: number): number | undefined {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const line = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((one) => one.trim().split(/\s+/))
    .find((fields) => fields[1] === local);
  const socket = line && `socket:[${line[9]}]`;
  return pids.find((pid) => readdirSync(`/proc/${pid}/fd`).some((fd) => linkOf(`/proc/${pid}/fd/${fd}`) === socket));
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    // Closed meanwhile.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return undefined;
  }
}
