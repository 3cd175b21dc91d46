/** A PostgreSQL server that a test may kill, freeze, start again, on a folder of its choice. */

import { spawn } from 'node:child_process';
import { mkdirSync, openSync, closeSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findBinaries, environment, prepareBinaries, program } from '../../../src/db/embeddedBinaries.ts';
import { prepareCluster } from '../../../src/db/embeddedCluster.ts';
import { choosePlace, makeDataFolder } from '../../../src/db/embeddedPlace.ts';
import { disownPidFile, findPostmaster } from '../../../src/db/postmaster.ts';
import { freePort } from '../../../src/lib/freePort.ts';
import { until } from '../until.ts';

export interface OwnPostgres {
  url: string;
  port: number;
  /** The file it logs into. */
  logFile: string;
  /** Resolves when it accepts connections; recovers first where it was killed. */
  start(): Promise<void>;
  /** SIGKILL to the server and each of its children. */
  kill(): Promise<void>;
  /** Whether its process runs. */
  isUp(): boolean;
  freeze(): void;
  thaw(): void;
  /** Fast shutdown. */
  close(): Promise<void>;
}

/** Made in `folder`, which PostgreSQL's user must be able to enter; durable as the product's own, not started yet. */
export async function makeOwnPostgres(folder: string, settings: Readonly<Record<string, string>> = {}): Promise<OwnPostgres> {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const place = choosePlace(makeDataFolder(folder), join(folder, 'outside'));
  const binaries = prepareBinaries(findBinaries(), place.home, place.account);
  const password = await prepareCluster(binaries, place);
  const port = await freePort('127.0.0.1');
  const all = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    port: String(port),
    fsync: 'on',
    synchronous_commit: 'on',
    shared_buffers: '32MB',
    max_connections: '60',
    ...settings,
  };
  const args = ['-D', place.cluster, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
  let ended = Promise.resolve();
  let pid: number | undefined;

  const signal = (name: NodeJS.Signals): void => {
    if (pid === undefined) return;
    for (const each of [pid, ...childrenOf(pid)]) {
      try {
        process.kill(each, name);
      } catch (error) {
        // It ended by itself meanwhile.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
  };
  return {
    url: `postgres://hostroom:${password}@127.0.0.1:${port}/postgres`,
    port,
    logFile: join(place.home, 'server.log'),
    async start() {
      disownPidFile(place.cluster);
      const log = openSync(join(place.home, 'server.log'), 'a');
      const { uid, gid } = place.account;
      const child = spawn(program(binaries, 'postgres'), args, {
        uid,
        gid,
        cwd: place.cluster,
        env: environment(binaries.folder),
        stdio: ['ignore', log, log],
      });
      closeSync(log);
      pid = child.pid;
      ended = new Promise((resolve) =>
        child.once('exit', () => {
          pid = undefined;
          resolve();
        }),
      );
      await until(() => pid === undefined || findPostmaster(place.cluster)?.status === 'ready', 'PostgreSQL accepts connections', 60_000);
      if (pid === undefined)
        throw new Error(`postgres did not start:\n${readFileSync(join(place.home, 'server.log'), 'utf8').slice(-2_000)}`);
    },
    async kill() {
      signal('SIGKILL');
      await ended;
    },
    isUp: () => pid !== undefined,
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
    async close() {
      signal('SIGCONT');
      if (pid !== undefined) process.kill(pid, 'SIGINT');
      const late = setTimeout(() => signal('SIGKILL'), 10_000);
      await ended;
      clearTimeout(late);
    },
  };
}

/** Linux only, as all tests that use it. */
function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent;
      } catch {
        // It ended while we looked.
        return false;
      }
    })
    .map(Number);
}
