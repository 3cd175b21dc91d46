/** Starts the servers under test and the load beside them, each pinned to its own core. */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { availableParallelism } from 'node:os';

/** Core 0 belongs to the server, core 1 to whatever loads it; on one core nothing is pinned. */
export type Core = 0 | 1;

export interface Running {
  port: number;
  /** Of the second server, where two work together. */
  otherPort?: number;
  /** The process with all its descendants. */
  pids(): number[];
  close(): Promise<void>;
}

const canPin = availableParallelism() > 1 && spawnSync('taskset', ['--version']).status === 0;

function pinned(core: Core, command: readonly string[]): { program: string; args: string[] } {
  const [program = '', ...args] = canPin ? ['taskset', '-c', String(core), ...command] : command;
  return { program, args };
}

/** Starts a server on core 0 and waits until it listens on `port`. */
export async function startServer(command: readonly string[], port: number, environment: Record<string, string> = {}): Promise<Running> {
  const { program, args } = pinned(0, command);
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...environment } });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(-4_000)));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const deadline = performance.now() + 20_000;
  while (!(await listens(port))) {
    if (child.exitCode !== null || performance.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error(`${command.join(' ')} does not listen on ${port}: ${errors}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { port, pids: () => family(child), close: () => stop(child, ended) };
}

/** Several servers measured as one; clients use the first two ports. */
export function together(servers: readonly Running[]): Running {
  const [first, second] = servers;
  if (!first || !second) throw new Error('two servers at least');
  return {
    port: first.port,
    otherPort: second.port,
    pids: () => servers.flatMap((server) => server.pids()),
    close: async () => {
      for (const server of servers) await server.close();
    },
  };
}

/** A Redis that keeps nothing on disk. */
export async function startRedis(): Promise<Running> {
  const port = await freePort();
  return startServer(['redis-server', '--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'], port);
}

async function stop(child: ChildProcess, ended: Promise<void>): Promise<void> {
  child.kill('SIGTERM');
  const force = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await ended;
  clearTimeout(force);
}

function family(child: ChildProcess): number[] {
  const found: number[] = [];
  const visit = (pid: number): void => {
    found.push(pid);
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    for (const each of children.split(' ').filter(Boolean)) visit(Number(each));
  };
  if (child.pid !== undefined) visit(child.pid);
  return found;
}

/** Runs a program on core 1 to its end; its output, or an error with what it complained of. */
export async function runLoad(command: readonly string[]): Promise<string> {
  const { program, args } = pinned(1, command);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(-4_000)));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`the load ended with ${code}: ${errors}`);
  return output;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** A loopback port that nobody uses now; servers that cannot take port 0 get it. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** Whether the program answers at all; for peers that may not be installed. */
export function isInstalled(program: string, ...versionArgs: string[]): boolean {
  return (
    spawnSync(program, versionArgs, { stdio: 'ignore', env: { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` } })
      .status === 0
  );
}
