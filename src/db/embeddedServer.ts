/** Keeps one PostgreSQL server process running on the embedded cluster until it is closed. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, fchownSync, openSync, readSync, renameSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { BaseLogger } from 'pino';
import { type Binaries, environment, program } from './embeddedBinaries.ts';
import { type Place, makeAccountFolder } from './embeddedPlace.ts';
import { DatabaseFault } from './fault.ts';
import { disownPidFile, findPostmaster, isPostmaster } from './postmaster.ts';

export interface ServerOptions {
  binaries: Binaries;
  place: Place;
  socketFolder: string;
  /** Windows only; elsewhere there is no TCP listener, and the number is part of the socket's name. */
  port: number;
  settings: Readonly<Record<string, string>>;
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>;
}

export interface Server {
  pid(): number;
  /** Fast shutdown, then after 10 s an immediate one; resolves when the process is gone. */
  close(): Promise<void>;
}

const logLimitBytes = 4 * 1024 * 1024;
const startLimitMs = 300_000;
const orphanLimitMs = 15_000;

interface Running {
  pid: number;
  /** Undefined for a server that was taken over. */
  child?: ChildProcess;
}

/** Starts a server, or takes over the one with this pid; starts it again, with growing pauses, whenever it dies. */
export async function superviseServer(options: ServerOptions, runningPid: number | undefined): Promise<Server> {
  const { place, log } = options;
  let running: Running = runningPid === undefined ? await startServer(options) : { pid: runningPid };
  let closing = false;
  let restarting: Promise<void> | undefined;
  let stopWatching = watch(running, place.cluster, died);

  function died(): void {
    if (!closing) restarting = restart().finally(() => (restarting = undefined));
  }

  async function restart(): Promise<void> {
    log.error({ pid: running.pid, end: readEnd(logFile(place), 0).slice(-500) }, 'PostgreSQL died; starting it again');
    for (let pauseMs = 50; !closing; pauseMs = Math.min(pauseMs * 2, 5_000)) {
      try {
        running = await startServer(options);
        stopWatching = watch(running, place.cluster, died);
        log.info({ pid: running.pid }, 'PostgreSQL runs again');
        return;
      } catch (error) {
        log.error({ reason: (error as Error).message, pauseMs }, 'PostgreSQL did not start');
        await wait(pauseMs);
      }
    }
  }

  const tidy = setInterval(() => emptyLongLog(logFile(place)), 60_000);
  tidy.unref();
  return {
    pid: () => running.pid,
    async close() {
      closing = true;
      clearInterval(tidy);
      await restarting;
      stopWatching();
      await stopServer(options, running.pid);
    },
  };
}

/** Calls `died` once when the process ends; returns what stops the watch. */
function watch({ pid, child }: Running, cluster: string, died: () => void): () => void {
  if (child) {
    if (child.exitCode !== null || child.signalCode !== null) queueMicrotask(died);
    child.once('exit', died);
    return () => child.removeListener('exit', died);
  }
  // Nobody's child here, so it has to be looked at; that is a process of its own where there is no /proc.
  const timer = setInterval(
    () => {
      if (isPostmaster(pid, cluster)) return;
      clearInterval(timer);
      died();
    },
    process.platform === 'linux' ? 200 : 2_000,
  );
  timer.unref();
  return () => clearInterval(timer);
}

/** Waits until a running server accepts connections; undefined once it is gone instead. */
export async function untilReady(cluster: string, log: ServerOptions['log']): Promise<number | undefined> {
  const started = performance.now();
  for (let rounds = 1; ; rounds++) {
    const found = findPostmaster(cluster);
    if (!found) return undefined;
    if (found.status === 'ready') return found.pid;
    const elapsedMs = performance.now() - started;
    if (elapsedMs > startLimitMs)
      throw new DatabaseFault(
        `PostgreSQL (pid ${found.pid}) on ${cluster} is "${found.status}" for ${startLimitMs / 1000} s. Look at server.log beside that folder.`,
      );
    // After a crash it replays its log first.
    if (rounds % 1_000 === 0) log.warn({ pid: found.pid, status: found.status }, 'PostgreSQL is not ready yet');
    await wait(10);
  }
}

/** Starts a server that accepts connections. */
async function startServer(options: ServerOptions): Promise<Running> {
  const deadline = performance.now() + orphanLimitMs;
  for (;;) {
    const { running, told } = await tryStart(options);
    if (running) return running;
    // Children of a killed server need a moment to notice; until then the cluster is in use.
    const orphans = /pre-existing shared memory block|lock file ".*" already exists/.test(told);
    if (!orphans || performance.now() > deadline) throw startFault(options, told);
    await wait(100);
  }
}

async function tryStart(options: ServerOptions): Promise<{ running?: Running; told: string }> {
  const { place, log } = options;
  const file = logFile(place);
  if (sizeOf(file) > logLimitBytes) renameSync(file, `${file}.1`);
  disownPidFile(place.cluster);
  prepareSocketFolder(options);
  const from = sizeOf(file);
  const child = spawnServer(options, file);
  let ended: string | undefined;
  child.once('error', (error) => (ended = error.message));
  child.once('exit', (code, signal) => (ended ??= `it ended with ${code ?? signal}`));
  for (;;) {
    if (ended !== undefined) return { told: readEnd(file, from) || ended };
    const found = findPostmaster(place.cluster);
    if (found && found.pid === child.pid) {
      const pid = await untilReady(place.cluster, log);
      if (pid !== undefined) return { running: { pid, child }, told: '' };
    }
    await wait(5);
  }
}

function spawnServer(options: ServerOptions, file: string): ChildProcess {
  const { binaries, place, settings } = options;
  const { uid, gid } = place.account;
  const args = ['-D', place.cluster, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
  const log = openSync(file, 'a', 0o600);
  try {
    const home = statSync(place.home);
    // Root may run in a folder of an ordinary user, who must be able to go on with it.
    if (process.getuid?.() === 0) fchownSync(log, home.uid, home.gid);
    const child = spawn(program(binaries, 'postgres'), args, {
      uid,
      gid,
      cwd: place.cluster,
      env: environment(binaries.folder),
      // Its own session: Ctrl-C reaches the hub alone, which still has to write and stops the server last.
      detached: true,
      windowsHide: true,
      stdio: ['ignore', log, log],
    });
    child.unref();
    return child;
  } finally {
    closeSync(log);
  }
}

function prepareSocketFolder(options: ServerOptions): void {
  if (process.platform === 'win32') return;
  makeAccountFolder(options.socketFolder, options.place.account);
  // Left by a killed server; its lock file holds a pid, too, that somebody else may have now.
  const socket = join(options.socketFolder, `.s.PGSQL.${options.port}`);
  rmSync(socket, { force: true });
  rmSync(`${socket}.lock`, { force: true });
}

async function stopServer(options: ServerOptions, pid: number): Promise<void> {
  const { binaries, place, log } = options;
  if (process.platform === 'win32') {
    spawnSync(program(binaries, 'pg_ctl'), ['stop', '-D', place.cluster, '-m', 'fast', '-w', '-t', '10'], { stdio: 'ignore' });
    return;
  }
  // SIGINT: fast shutdown with a checkpoint; SIGQUIT: at once, and the next start recovers from the log.
  for (const [signal, limitMs] of [
    ['SIGINT', 10_000],
    ['SIGQUIT', 3_000],
    ['SIGKILL', 2_000],
  ] as const) {
    const deadline = performance.now() + limitMs;
    if (!isPostmaster(pid, place.cluster)) return;
    if (signal !== 'SIGINT') log.warn({ pid, signal }, 'PostgreSQL is slow to stop');
    process.kill(pid, signal);
    while (performance.now() < deadline) {
      if (!isPostmaster(pid, place.cluster)) return;
      await wait(10);
    }
  }
}

function startFault(options: ServerOptions, told: string): DatabaseFault {
  const { place } = options;
  const reason = told.trim().split('\n').slice(-8).join('\n');
  if (/No space left on device|Disk quota exceeded/.test(told)) {
    return new DatabaseFault(
      `PostgreSQL cannot start: the disk of ${place.cluster} is full. Free some space and start again; nothing that was committed is lost.\n${reason}`,
    );
  }
  if (/pre-existing shared memory block|lock file ".*" already exists/.test(told)) {
    return new DatabaseFault(
      `PostgreSQL cannot start: processes of an earlier server still use ${place.cluster}. Find them with "ps -ef | grep postgres", end them, and start again.\n${reason}`,
    );
  }
  return new DatabaseFault(`PostgreSQL cannot start on ${place.cluster}; the whole story is in ${logFile(place)}:\n${reason}`);
}

function logFile(place: Place): string {
  return join(place.home, 'server.log');
}

/** While the server writes it, the file can only be emptied; one older file is kept at each start. */
function emptyLongLog(file: string): void {
  if (sizeOf(file) > logLimitBytes) truncateSync(file);
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function readEnd(file: string, from: number): string {
  const size = sizeOf(file);
  if (size === 0) return '';
  const start = Math.max(from, size - 4_000);
  const bytes = Buffer.alloc(Math.max(0, size - start));
  const open = openSync(file, 'r');
  try {
    const read = readSync(open, bytes, 0, bytes.length, start);
    return bytes.toString('utf8', 0, read);
  } finally {
    closeSync(open);
  }
}
