/** One hub process of a cluster, on ports of its own. */

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as wait } from 'node:timers/promises';
import { environmentFor } from '../config.ts';
import { freePort } from '../lib/freePort.ts';
import { KeptProcess } from './keptProcess.ts';
import { type Output, toOutput } from './output.ts';

export interface ReplicaOptions {
  name: string;
  /** With `src/main.ts`. */
  root: string;
  /** Over what this process was given. */
  environment: Readonly<Record<string, string | undefined>>;
  /** From SIGTERM to SIGKILL. */
  graceMs: number;
  output: Output;
  /** Told whenever its process is another. */
  onChange: () => void;
}

export interface Replica {
  name: string;
  port: number;
  opsPort: number;
  readonly pid: number | undefined;
  close(): Promise<void>;
}

const longestStartMs = 90_000;

/** Resolves when it takes connections; rejects, having stopped it, when its first process ended instead. Later it is started again. */
export async function startReplica({ name, root, environment, graceMs, output, onChange }: ReplicaOptions): Promise<Replica> {
  const [port, opsPort] = [await freePort('127.0.0.1'), await freePort('127.0.0.1')];
  let ended = false;
  const kept = new KeptProcess({
    start: () => {
      const child = spawn(process.execPath, [...process.execArgv, join(root, 'src/main.ts')], {
        cwd: root,
        // Of a session of its own: Ctrl-C is for the cluster. The channel tells it when that is gone, even after kill -9.
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        env: environmentFor({ ...environment, HOST: '127.0.0.1', PORT: String(port), OPS_PORT: String(opsPort) }, 'hub'),
      });
      toOutput(child, name, output);
      return child;
    },
    pauseMs: { first: 500, most: 10_000 },
    graceMs,
    onExit: (code, signal, againInMs) => {
      ended = true;
      output(name, `ended with ${signal ?? code}; it is started again in ${againInMs} ms`);
      onChange();
    },
    onStart: onChange,
  });
  const deadline = performance.now() + longestStartMs;
  // oxlint-disable-next-line no-await-in-loop -- it is asked until it says so
  while (!(await isReady(opsPort))) {
    if (ended || performance.now() > deadline) {
      // oxlint-disable-next-line no-await-in-loop -- and then no more
      await kept.close();
      throw new Error(`${name} did not start; its lines above say why`);
    }
    // oxlint-disable-next-line no-await-in-loop -- not all the time
    await wait(50);
  }
  return {
    name,
    port,
    opsPort,
    get pid() {
      return kept.pid;
    },
    close: () => kept.close(),
  };
}

async function isReady(opsPort: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${opsPort}/readyz`)).ok;
  } catch {
    // It does not listen yet.
    return false;
  }
}
