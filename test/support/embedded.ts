/** Starts embedded databases for tests, here or in a process that can be killed. */

import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import { type Embedded, type EmbeddedOptions, startEmbedded } from '../../src/db/embedded.ts';
import { findPostmaster } from '../../src/db/postmaster.ts';

export const log = pino({ level: 'silent' });
const starter = resolve(import.meta.dirname, 'embeddedHub.ts');

/** A folder for one test, removed with everything in it. */
export function makeFolder(name = 'hostroom embedded-'): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), name)));
  // mkdtemp's 0700 would be closed to PostgreSQL's user.
  chmodSync(folder, 0o755);
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export async function start(dataDir: string, more: Partial<EmbeddedOptions> = {}): Promise<Embedded> {
  const embedded = await startEmbedded({ dataDir, log, outside: join(dataDir, 'outside'), ...more });
  // The folder goes after it.
  onTestFinished(() => embedded.close());
  return embedded;
}

export async function run<T = unknown>(embedded: { url: string }, statement: string): Promise<T> {
  const database = await openDatabase({ url: embedded.url, log, maxConnections: 1 });
  try {
    return (await database.sql.unsafe(statement)) as unknown as T;
  } finally {
    await database.close();
  }
}

export interface Hub {
  child: ChildProcess;
  /** What it printed: `{url, pid, attached}`, or `{fault}`. */
  told: Promise<{ url: string; pid: number; attached: boolean; fault?: string }>;
  ended: Promise<number | null>;
}

/** A process that starts the embedded database as a hub does, in its own process group, so that it can be killed. */
export function startHub(dataDir: string, options: { uid?: number; gid?: number } = {}): Hub {
  const child = spawn(process.execPath, [starter, dataDir], { stdio: ['ignore', 'pipe', 'inherit'], detached: true, cwd: '/', ...options });
  let text = '';
  const told = new Promise<never>((done, fail) => {
    child.once('error', fail);
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (text.includes('\n')) done(JSON.parse(text.slice(0, text.indexOf('\n'))) as never);
    });
    child.once('exit', (code) => fail(new Error(`the hub ended with ${code} before it told anything`)));
  });
  const ended = new Promise<number | null>((done) => child.once('exit', done));
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await ended;
    // A test that failed half way leaves nothing running.
    const left = findPostmaster(join(dataDir, 'postgres/cluster'));
    if (left) process.kill(left.pid, 'SIGQUIT');
  });
  return { child, told, ended };
}

export const isGone = (pid: number): boolean => !existsSync(`/proc/${pid}`) || /\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
