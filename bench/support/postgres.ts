/** What the processes of a PostgreSQL have used. */

import { readFileSync, readdirSync } from 'node:fs';

/** CPU seconds of all processes below the postmaster, those that ended too. */
export function postgresSeconds(postmaster: number): number {
  const read = (pid: number, ended: boolean): number => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')
      .map(Number);
    return fields.slice(11, ended ? 15 : 13).reduce((sum, ticks) => sum + ticks, 0) / 100;
  };
  const children = readdirSync(`/proc/${postmaster}/task`).flatMap((task) =>
    readFileSync(`/proc/${postmaster}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
  return read(postmaster, true) + children.reduce((sum, pid) => sum + read(pid, false), 0);
}
