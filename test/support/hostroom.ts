/** Runs hostroom as a person would: as processes of its own, told by the environment, seen by what they print. */

import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { freePort } from '../../src/lib/freePort.ts';
import { until } from './until.ts';

type WhenDone = (close: () => Promise<void> | void) => void;

export interface RunOptions {
  /** `start` is `npm start`, `main` is `npm run hub`, `clusterMain` is `npm run cluster`. */
  program?: 'start' | 'main' | 'clusterMain' | 'migrateMain';
  args?: readonly string[];
  environment?: Readonly<Record<string, string | undefined>>;
  /** Another checkout than this one. */
  root?: string;
  user?: { uid: number; gid: number };
}

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface Hostroom {
  child: ChildProcess;
  url: string;
  opsUrl: string;
  /** All that was printed so far, both streams. */
  output(): string;
  /** Waits for the end of the start; throws with the output when it failed. */
  ready(): Promise<void>;
  /** The link that was printed, or undefined. */
  link(): string | undefined;
  /** To the whole process group, as a terminal's Ctrl-C. */
  signal(name: NodeJS.Signals): void;
  /** As a person would, with Enter. */
  type(line: string): void;
  ended: Promise<Ended>;
}

const checkout = resolve(import.meta.dirname, '../..');
/** As `npm start`, `npm run hub` and the image have them. */
const nodeFlags = ['--max-semi-space-size=8'];
const readyLine = { start: /hostroom runs at /, main: /the hub is ready/, clusterMain: /hostroom runs at /, migrateMain: /^$/ };

/** A folder for one test that PostgreSQL's user may enter; what still runs in it at the end is killed, then it is removed. */
export function makeRunFolder(whenDone: WhenDone, name = 'hostroom-run-'): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), name)));
  chmodSync(folder, 0o755);
  whenDone(async () => {
    await until(() => {
      killAll(folder);
      return processesIn(folder).length === 0;
    });
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** Starts a program on free ports in `dataDir`, in a process group of its own. */
export async function run(dataDir: string, options: RunOptions = {}): Promise<Hostroom> {
  const { program = 'main', root = checkout } = options;
  const environment: Record<string, string | undefined> = {
    PATH: process.env['PATH'],
    HOME: tmpdir(),
    PORT: String(await freePort('127.0.0.1')),
    OPS_PORT: String(await freePort('127.0.0.1')),
    DATA_DIR: dataDir,
    ...options.environment,
  };
  const child = spawn(process.execPath, [...nodeFlags, join(root, 'src', `${program}.ts`), ...(options.args ?? [])], {
    cwd: root,
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: environment,
    ...options.user,
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part: string) => (text += part));
  const ended = new Promise<Ended>((done, fail) => {
    child.once('error', fail);
    // Not 'close': others may hold the pipes longer, and that is for the tests to see.
    child.once('exit', (code, signal) => done({ code, signal }));
  });
  let over: Ended | undefined;
  void ended.then((end) => (over = end));
  return {
    child,
    url: `http://127.0.0.1:${environment['PORT']}`,
    opsUrl: `http://127.0.0.1:${environment['OPS_PORT']}`,
    output: () => text,
    async ready() {
      await until(() => over !== undefined || readyLine[program].test(text), 'it is ready', 90_000).catch((error: Error) => {
        throw new Error(`${error.message}\n${text}`);
      });
      if (over) throw new Error(`it ended with ${over.code ?? over.signal}:\n${text}`);
    },
    link: () => /Sign in once within 24 hours: (\S+)/.exec(text)?.[1],
    signal: (name) => void process.kill(-child.pid!, name),
    type: (line) => void child.stdin.write(`${line}\n`),
    ended,
  };
}

/** Processes that work in the folder, or whose command line or environment names it; no zombies, for they run no more. */
export function processesIn(folder: string): { pid: number; command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => ['cmdline', 'environ', 'cwd'].some((file) => read(`/proc/${pid}/${file}`).includes(folder)))
    .map((pid) => ({ pid: Number(pid), command: read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim() }))
    .filter(({ command }) => command !== '');
}

/** `kill -9` of everything in the folder. */
export function killAll(folder: string): void {
  for (const { pid } of processesIn(folder)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** The agent's process of a run of `npm start`; it alone has a STATE_DIR. */
export const agentIn = (folder: string): number | undefined =>
  processesIn(folder).find(({ pid }) => read(`/proc/${pid}/environ`).includes('\0STATE_DIR='))?.pid;

/** The embedded server's process. */
export const postmasterIn = (folder: string): number | undefined =>
  processesIn(folder).find(({ command }) => command.includes('/bin/postgres -D'))?.pid;

/** Of a process; '' where it ended just now or belongs to somebody else. */
function read(path: string): string {
  try {
    return path.endsWith('cwd') ? readlinkSync(path) : readFileSync(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}
